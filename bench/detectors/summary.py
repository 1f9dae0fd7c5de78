"""From what was seen to rows and bars. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.detectors.judging import Judged
from bench.detectors.marks import Seen, Tally
from bench.engine.statistics import percentile
from bench.report import Bar
from ostiary_moderation.evaluation.intervals import wilson

if TYPE_CHECKING:
    from bench.detectors.figurative import Gallery, Measured, Outcome

Row = dict[str, Any]
Record = Mapping[str, Any]

_LETTERS = ((14, 18), (18, 26), (26, 1000))
_PRINT = ((0, 8), (8, 12), (12, 1000))
_FIGURES = "figurative marks"
_FIGURES_FOUND = (0.65, 0.50)
_KINDS = ("registered", "unregistered", "clean")
_FIGURE_SIDES = ((64, 90), (90, 130), (130, 1000))
_CONTRASTS = ((0, 60), (60, 120), (120, 1000))
_SIDES = ((80, 120), (120, 200), (200, 1000))


def share(hits: int, of: int) -> Row:
    """A share with its interval, as columns; dashes where there is nothing to have a share of."""
    if not of:
        return {"share": None, "95% from": None, "to": None}
    figure = wilson(hits, of)
    return {"share": figure.value, "95% from": figure.low, "to": figure.high}


def line(detector: str, what: str, hits: int, of: int) -> Row:
    """One row: `hits` of `of`."""
    return {"detector": detector, "what": what, "n": of, "hits": hits, **share(hits, of)}


def adverts(
    prohibited: Sequence[tuple[Record, Judged]], lawful: Sequence[tuple[Record, Judged]]
) -> tuple[list[Row], list[Bar]]:
    """Recall and precision of prohibited advertising, and where either is lost.

    An advert is found where it is flagged under its own label. Precision is over images, of both kinds and as
    many of each: whether what was flagged carries an advert.
    """
    hits = [_is_found(*pair) for pair in prohibited]
    flagged = sum(bool(judged.flags) for _, judged in prohibited)
    wrong = sum(bool(judged.flags) for _, judged in lawful)
    rows = [
        line("ads", "recall", sum(hits), len(hits)),
        line("ads", "precision", flagged, flagged + wrong),
        line("ads", "lawful texts flagged", wrong, len(lawful)),
        line("ads", "lawful texts blocked", _blocked(lawful), len(lawful)),
    ]
    groups: list[tuple[str, Callable[[Record], str]]] = [
        ("recall", lambda record: f"{record['facts']['group']}, {record['facts']['language']}"),
        ("recall, letters", lambda record: _band(record["facts"]["look"]["letters"], _LETTERS)),
        ("recall, font", lambda record: record["facts"]["look"]["font"]),
        ("recall, drawn", lambda record: record["facts"]["look"]["style"]),
        ("recall, turned", lambda record: _turned(record["facts"]["look"])),
    ]
    for name, group in groups:
        rows += _grouped(f"{name}: ", [record for record, _ in prohibited], hits, group)
    rows += _grouped(
        "flagged: ",
        [record for record, _ in lawful],
        [bool(judged.flags) for _, judged in lawful],
        lambda record: record["facts"]["group"],
    )
    return rows, [
        Bar("ads: recall", rows[0]["share"], 0.95, "at least"),
        Bar("ads: precision", rows[1]["share"], 0.98, "at least"),
    ]


def photographs(
    found: Sequence[tuple[Record, Judged]], known: Mapping[str, str]
) -> tuple[list[Row], list[Row], list[Bar]]:
    """Verdicts on real photographs, and each that is flagged with what was read there.

    `known`: file → `yes` or `no`, where somebody looked whether what was read is there and prohibited.
    """
    count = len(found)
    verdicts = [judged.verdict for _, judged in found]
    rows = [
        line("ads", f"photographs: {verdict}", verdicts.count(verdict), count)
        for verdict in ("BLOCK", "REVIEW", "HOLD")
    ]
    listed = [
        {
            "photograph": record["facts"]["file"],
            "verdict": judged.verdict,
            "rule": "; ".join(sorted({flag.rule for flag in judged.flags})),
            "read": "; ".join(sorted({_cell(flag.read) for flag in judged.flags})),
            "right": known.get(record["facts"]["file"], "not looked at"),
        }
        for record, judged in found
        if judged.flags
    ]
    reviews = 100 * verdicts.count("REVIEW") / count if count else None
    blocks = float(verdicts.count("BLOCK")) if count else None
    return (
        rows,
        sorted(listed, key=lambda row: (row["verdict"], row["photograph"])),
        [
            Bar("photographs: BLOCK", blocks, 0.0, "at most"),
            Bar("photographs: REVIEW, %", reviews, 1.0, "at most"),
        ],
    )


def codes(made: Sequence[tuple[Record, Judged]], without: Sequence[Record]) -> tuple[list[Row], list[Bar]]:
    """Recall of codes by symbology and size, and codes that were read where there are none."""
    hits = [_is_read(record) for record, _ in made]
    misread = sum(_misread(record) for record, _ in made)
    invented = sum(bool(record["seen"].get("barcodes")) for record in without)
    records = [record for record, _ in made]
    rows = _grouped("recall: ", records, hits, lambda record: record["facts"]["symbology"], "codes")
    qr = [
        (record, hit)
        for record, hit in zip(records, hits, strict=True)
        if record["facts"]["symbology"] == "QRCode"
    ]
    qr_records, qr_hits = [record for record, _ in qr], [hit for _, hit in qr]
    sides = lambda record: _band(record["facts"]["look"]["letters"], _SIDES)  # noqa: E731
    rows += _grouped("recall, QR, pixels: ", qr_records, qr_hits, sides, "codes")
    flagged = [bool(judged.labels & {"qr_code"}) for _, judged in made]
    read_and_flagged = sum(flag for flag, hit in zip(flagged, hits, strict=True) if hit)
    rows += [
        line("codes", "flagged, of those read", read_and_flagged, sum(hits)),
        line("codes", "precision", sum(hits), sum(hits) + misread + invented),
        line("codes", "patterns read as codes", invented, len(without)),
    ]
    recall = share(sum(qr_hits), len(qr_hits))["share"]
    return rows, [Bar("codes: recall of QR codes from 80 pixels", recall, 0.98, "at least")]


def marks(
    tally: Tally, seen: Mapping[str, Seen], named: Mapping[str, Sequence[str]], brands: int
) -> tuple[list[Row], list[Row], list[Bar]]:
    """Recall and precision of word marks, and each that was missed or named wrongly.

    `named`: the brands that were named on each photograph. What can hardly be read counts on neither side.
    """
    found, missed, wrong = len(tally.found), len(tally.missed), len(tally.wrong)
    unclear = [brand in brands_named for file, brands_named in named.items() for brand in seen[file].unclear]
    rows = [
        line("word marks", f"recall, {brands} brands", found, found + missed),
        line("word marks", "precision", found, found + wrong),
        *_by_print(tally, seen),
        line("word marks", "hardly legible, named all the same", sum(unclear), len(unclear)),
    ]
    listed = [
        {"photograph": file, "brand": brand, "what": what}
        for what, pairs in (
            ("missed", tally.missed),
            ("named wrongly", tally.wrong),
            ("unclear", tally.unclear),
        )
        for file, brand in pairs
    ]
    return (
        rows,
        listed,
        [
            Bar("word marks: recall", rows[0]["share"], 0.80, "at least"),
            Bar("word marks: precision", rows[1]["share"], 0.95, "at least"),
        ],
    )


def figures(found: Measured) -> tuple[list[Row], list[Bar]]:
    """Recall and precision of figurative marks from the frozen threshold on, for each size of gallery.

    Precision is over all that is told, on images with a registered mark, with one that is not, and with none.
    """
    rows: list[Row] = []
    bars: list[Bar] = []
    for gallery, least in zip(found.galleries, _FIGURES_FOUND, strict=True):
        more, shares = _of_gallery(gallery, found.threshold)
        rows += more
        name = f"figurative marks, {gallery.marks} registered"
        bars += [
            Bar(f"{name}: precision", shares[0], 0.97, "at least"),
            Bar(f"{name}: recall", shares[1], least, "at least"),
            Bar(f"{name}: processor ms, p50", percentile(gallery.milliseconds, 0.5), 300.0, "at most"),
        ]
    return rows, bars


def _of_gallery(gallery: Gallery, threshold: float) -> tuple[list[Row], tuple[float | None, float | None]]:
    """Rows, and the precision and recall among them."""
    told: dict[str, list[list[bool]]] = {
        kind: [_from(image, threshold) for image in gallery.images if image.kind == kind] for kind in _KINDS
    }
    images = [image for image in gallery.images if image.kind == "registered"]
    hits = [any(right) for right in told["registered"]]
    everything = [right for of_kind in told.values() for each in of_kind for right in each]

    def row(what: str, hits: Sequence[object], of: int) -> Row:
        return line(_FIGURES, f"{gallery.marks} registered: {what}", sum(map(bool, hits)), of)

    rows = [
        row("recall", hits, len(hits)),
        row("precision", everything, len(everything)),
        row("unregistered marks named", told["unregistered"], len(told["unregistered"])),
        row("clean photographs named", told["clean"], len(told["clean"])),
        row("refused as degenerate", [True] * gallery.refused, len(images)),
    ]
    groups: tuple[tuple[str, tuple[tuple[int, int], ...], Callable[[Outcome], float]], ...] = (
        ("pixels", _FIGURE_SIDES, lambda image: image.side),
        ("contrast", _CONTRASTS, lambda image: image.contrast),
    )
    for name, bands, value in groups:
        for low, high in bands:
            within = [hit for image, hit in zip(images, hits, strict=True) if low <= value(image) < high]
            rows.append(row(f"recall, {name}: {_band(low, bands)}", within, len(within)))
    return rows, (rows[1]["share"], rows[0]["share"])


def _from(image: Outcome, threshold: float) -> list[bool]:
    """Whether each that is told from the threshold on is right."""
    return [right for score, right in image.told if score >= threshold]


def missed(prohibited: Sequence[tuple[Record, Judged]]) -> list[Row]:
    """Adverts that were not found: what stood there, and what was read."""
    return [_told(record, judged) for record, judged in prohibited if not _is_found(record, judged)]


def wrongly_flagged(lawful: Sequence[tuple[Record, Judged]]) -> list[Row]:
    """Lawful texts that were flagged."""
    return [_told(record, judged) for record, judged in lawful if judged.flags]


def _by_print(tally: Tally, seen: Mapping[str, Seen]) -> list[Row]:
    """Recall by about how high the capitals are."""
    hits: dict[tuple[int, int], list[bool]] = {band: [] for band in _PRINT}
    for pairs, hit in ((tally.found, True), (tally.missed, False)):
        for file, brand in pairs:
            band = next(band for band in _PRINT if seen[file].words[brand] < band[1])
            hits[band].append(hit)
    return [
        line("word marks", f"recall, capitals in pixels: {_band(low, _PRINT)}", sum(each), len(each))
        for (low, _), each in hits.items()
    ]


def _told(record: Record, judged: Judged) -> Row:
    return {
        "number": record["number"],
        "group": record["facts"]["group"],
        "written": " | ".join(record["facts"]["lines"]),
        "read": " | ".join(span["text"] for span in record["seen"].get("ocr", [])),
        "letters": record["facts"]["look"]["letters"],
        "flagged": "; ".join(f"{flag.label} {flag.rule} {flag.read}" for flag in judged.flags),
        "file": record["facts"]["file"],
    }


def _is_found(record: Record, judged: Judged) -> bool:
    return record["facts"]["group"] in judged.labels


def _blocked(found: Sequence[tuple[Record, Judged]]) -> int:
    return sum(any(flag.action == "BLOCK" for flag in judged.flags) for _, judged in found)


def _is_read(record: Record) -> bool:
    return any(code.get("text") == record["facts"]["payload"] for code in record["seen"].get("barcodes", []))


def _misread(record: Record) -> int:
    return sum(code.get("text") != record["facts"]["payload"] for code in record["seen"].get("barcodes", []))


def _grouped(
    name: str,
    records: Sequence[Record],
    hits: Sequence[bool],
    group: Callable[[Record], str],
    detector: str = "ads",
) -> list[Row]:
    by_group: dict[str, list[bool]] = {}
    for record, hit in zip(records, hits, strict=True):
        by_group.setdefault(group(record), []).append(hit)
    return [line(detector, name + key, sum(each), len(each)) for key, each in sorted(by_group.items())]


def _band(value: float, bands: Sequence[tuple[int, int]]) -> str:
    low, high = next(band for band in bands if value < band[1])
    return f"{low} to {high}" if high < 1000 else f"from {low}"


def _turned(look: Mapping[str, Any]) -> str:
    return "from the side" if look["pulled"] else "tilted" if look["tilt"] else "straight"


def _cell(text: str) -> str:
    """A text that fits into a cell of a table."""
    return " ".join(text.replace("|", "¦").split())
