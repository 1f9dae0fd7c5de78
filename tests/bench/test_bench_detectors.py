"""The benchmark of detectors: what it draws, what it keeps, and what it makes of what was seen."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zxingcpp
from PIL import Image

from bench.detectors import codes, figurative, judging, overlays, speed, store, summary, wording
from bench.detectors.looking import progress
from bench.detectors.parts import Adverts, Codes, Lookalikes, Part, Photographs, in_order
from ostiary_gateway.rules import pack
from ostiary_gateway.rules.source import parse

POLICY = judging.shipped_policy()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two photographs of cloth: noise on a colour."""
    rng = np.random.default_rng(1)
    for name, colour in (("a.jpg", (200, 190, 180)), ("b.jpg", (40, 60, 90))):
        noise = rng.normal(0, 6, (533, 400, 3)) + colour
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(tmp_path / name)
    return tmp_path


def parts(folder: Path) -> list[Part]:
    files = ("a.jpg", "b.jpg")
    return [
        Adverts(folder, files, prohibited=True, size=9),
        Adverts(folder, files, prohibited=False, size=9),
        Codes(folder, files, 9),
        Lookalikes(folder, files, 9),
        Photographs(folder, files),
    ]


@pytest.mark.parametrize(
    "place", range(5), ids=["prohibited", "lawful", "codes", "lookalikes", "photographs"]
)
def test_an_image_is_the_same_each_time(photographs: Path, place: int) -> None:
    """Whatever was made before it, and what is true of it with it."""
    part = parts(photographs)[place]
    first, again = part.item(1), parts(photographs)[place].item(1)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.facts == again.facts
    assert not np.array_equal(first.pixels, part.item(0).pixels)


def test_the_set_up_changes_with_the_photographs(photographs: Path) -> None:
    """What was seen on other photographs is not taken for these."""
    one, two = (Adverts(photographs, files, True, 9).setup() for files in (("a.jpg",), ("a.jpg", "b.jpg")))
    assert one != two


def test_overlays_keep_their_promises(photographs: Path) -> None:
    """Letters of 14 pixels and more, tilted by 15° at most, of JPEG quality 60 to 95."""
    looks = [Adverts(photographs, ("a.jpg",), True, 60).item(number).facts["look"] for number in range(60)]
    assert min(look["letters"] for look in looks) >= overlays.LEAST_LETTERS
    assert max(abs(look["tilt"]) for look in looks) <= 15
    assert all(60 <= look["quality"] <= 95 for look in looks)
    assert len({look["font"] for look in looks}) >= 3
    assert len({look["style"] for look in looks}) == 4


def test_labels_and_languages_take_turns() -> None:
    """Every label has as many adverts in either language as every other."""
    count = 2 * len(wording.labels())
    made = [wording.prohibited(random.Random(number), number) for number in range(count)]
    assert len({(text.group, text.language) for text in made}) == count


def test_nothing_is_left_to_fill_in() -> None:
    """Numbers and names are made up in every text."""
    for number in range(600):
        for text in (wording.prohibited, wording.lawful):
            assert not re.search(r"[{}|]", " ".join(text(random.Random(number), number).lines))


def test_texts_are_none_that_rules_were_written_with() -> None:
    """A rule that finds its own cases shows nothing: no text is a case of a pack, or of the packs' tests."""
    cases = _cases()
    assert [text for text in wording.statements() if _plain(text) in cases] == []


def _cases() -> set[str]:
    sources = [parse(text) for text in pack.shipped_texts().values()]
    known = [case for source in sources for rule in source.rules for case in (*rule.matches, *rule.ignores)]
    tested = yaml.safe_load((Path(__file__).parents[1] / "data/adverts.yaml").read_text(encoding="utf-8"))
    for kind in tested.values():
        known += [text for texts in kind.values() for text in texts]
    return set(map(_plain, known))


def _plain(text: str) -> str:
    return "".join(text.replace("|", " ").split()).casefold()


@pytest.mark.parametrize(
    ("line", "most", "pieces"),
    [
        ("the best shoes in town", 9, ["the best", "shoes in", "town"]),
        ("全网最低价", 2, ["全网", "最低", "价"]),
        ("unbreakable", 4, ["unbreakable"]),
    ],
)
def test_long_lines_break_where_they_may(line: str, most: int, pieces: list[str]) -> None:
    """Between words, or anywhere in Chinese; a word stays whole."""
    assert overlays.wrapped(line, most) == pieces


@pytest.mark.parametrize("number", [1, 0, 4, 8, 12], ids=["QR", "MicroQR", "DataMatrix", "Aztec", "PDF417"])
def test_codes_can_be_read(number: int) -> None:
    """What is drawn is a code of its symbology, with the payload that is looked for."""
    code = codes.made(random.Random(number), number)
    [read] = zxingcpp.read_barcodes(np.asarray(code.image))
    assert (read.format.name, read.text) == (code.symbology, code.payload)
    assert code.side >= codes.LEAST_SIDE


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """Lines of several processes count together, and one that was cut off does not."""
    first, second = store.next_paths(tmp_path, "part", 2)
    for path, numbers in ((first, (0, 2)), (second, (1,))):
        with store.Shard(path, "setup") as shard:
            for number in numbers:
                shard.add({"number": number})
    with first.open("a", encoding="utf-8") as stream:
        stream.write('{"number": 3, "fac')
    assert set(store.kept(tmp_path, "part", "setup")) == {0, 1, 2}
    assert store.next_paths(tmp_path, "part", 1) == [tmp_path / "part.2.jsonl"]


def test_what_was_seen_otherwise_is_dropped(tmp_path: Path) -> None:
    """Another set-up, or a file without a whole first line, gives nothing; other parts stay."""
    for part, setup in (("part", "old"), ("other", "old")):
        with store.Shard(store.next_paths(tmp_path, part, 1)[0], setup) as shard:
            shard.add({"number": 0})
    store.next_paths(tmp_path, "part", 1)[0].write_text('{"set')
    assert store.kept(tmp_path, "part", "new") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["other.0.jsonl"]


def test_labelled_photographs_come_first() -> None:
    """The first few of a quick run are spread over all, and none is looked at twice."""
    files = [f"{number}.jpg" for number in range(50)]
    order = in_order(files[10:20], files)
    assert set(order[:10]) == set(files[10:20])
    assert sorted(order) == sorted(files)
    assert list(order[:10]) != files[10:20]


def record(lines: list[str], group: str = "absolute_claim", **seen: Any) -> dict[str, Any]:
    """A record of an overlay as it was read."""
    look = {"letters": 20, "font": "Pillow", "style": "plate", "tilt": 0.0, "pulled": False, "quality": 90}
    facts = {"file": "a.jpg", "lines": lines, "group": group, "language": "en", "look": look}
    spans = [
        {"text": line, "confidence": 0.9, "region": {"box": {"x": 5, "y": 30 * n, "width": 90, "height": 20}}}
        for n, line in enumerate(lines)
    ]
    infos = [{"name": name, "completed": True, "policies": ["prohibited_ads"]} for name in ("ocr", "barcode")]
    return {
        "number": 0,
        "facts": facts,
        "size": [400, 533],
        "seen": {"ocr": spans, "detectors": infos, **seen},
    }


@pytest.mark.parametrize(
    ("lines", "verdict", "labels"),
    [
        (["全网最低价"], "BLOCK", {"absolute_claim"}),
        (["SIZE M"], "ALLOW", set()),
        ([], "ALLOW", set()),
    ],
)
def test_the_gateway_judges_what_was_seen(lines: list[str], verdict: str, labels: set[str]) -> None:
    """The verdict is the shipped policy's, with nothing but OCR and barcodes to go by."""
    found = judging.judged(record(lines), POLICY)
    assert (found.verdict, found.labels) == (verdict, labels)


def test_what_could_not_be_read_is_held() -> None:
    """An image with more text than is read is no clean one."""
    seen = record([])
    seen["seen"]["detectors"][0] |= {"completed": False, "error": "too much"}
    assert judging.judged(seen, POLICY).verdict == "HOLD"


def judged(*labels: str, action: str = "REVIEW") -> judging.Judged:
    flags = tuple(judging.Flag(label, action, "rule", "read") for label in labels)
    return judging.Judged(action if flags else "ALLOW", flags)


def test_adverts_are_found_under_their_own_label() -> None:
    """A wrong label finds nothing, but flags an image that does carry an advert."""
    prohibited = [
        (record(["a"]), judged("absolute_claim")),
        (record(["b"]), judged("medical_claim")),
        (record(["c"]), judged()),
    ]
    lawful = [
        (record(["d"], "size"), judged("medical_claim", action="BLOCK")),
        (record(["e"], "size"), judged()),
    ]
    rows, bars = summary.adverts(prohibited, lawful)
    named = {row["what"]: (row["hits"], row["n"]) for row in rows}
    assert named["recall"] == (1, 3)
    assert named["precision"] == (2, 3)
    assert named["lawful texts blocked"] == (1, 2)
    assert named["flagged: size"] == (1, 2)
    assert [bar.value for bar in bars] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert [row["written"] for row in summary.missed(prohibited)] == ["b", "c"]
    assert [row["written"] for row in summary.wrongly_flagged(lawful)] == ["d"]


def test_flagged_photographs_are_listed() -> None:
    """Each with what was read, and whether somebody found it right."""
    found = [
        (record([]) | {"facts": {"file": "a.jpg"}}, judged("off_platform", action="BLOCK")),
        (record([]) | {"facts": {"file": "b.jpg"}}, judged("off_platform")),
        (record([]) | {"facts": {"file": "c.jpg"}}, judged()),
    ]
    _, listed, bars = summary.photographs(found, {"a.jpg": "yes"})
    assert [(row["photograph"], row["right"]) for row in listed] == [
        ("a.jpg", "yes"),
        ("b.jpg", "not looked at"),
    ]
    assert [bar.met for bar in bars] == [False, False]
    assert not any(bar.met for bar in summary.photographs([], {})[2])


def test_codes_are_read_where_the_payload_is_right() -> None:
    """Another payload is a misreading, and a code where there is none an invention."""
    look = {"letters": 90, "tilt": 0.0, "pulled": False}

    def drawn(symbology: str, read: list[str]) -> tuple[dict[str, Any], judging.Judged]:
        facts = {"symbology": symbology, "payload": "right", "look": look}
        seen = {"barcodes": [{"text": text} for text in read]}
        return {"facts": facts, "seen": seen}, judged("qr_code") if read else judged()

    made = [
        drawn("QRCode", ["right"]),
        drawn("QRCode", ["wrong"]),
        drawn("Aztec", ["right"]),
        drawn("Aztec", []),
    ]
    rows, [bar] = summary.codes(made, [{"seen": {}}, {"seen": {"barcodes": [{"text": "x"}]}}])
    named = {row["what"]: (row["hits"], row["n"]) for row in rows}
    assert bar.value == 0.5
    assert named["recall: Aztec"] == (1, 2)
    assert named["recall, QR, pixels: 80 to 120"] == (1, 2)
    assert named["precision"] == (2, 4)
    assert named["flagged, of those read"] == (2, 2)


def outcome(kind: str, side: float, contrast: float, *told: tuple[float, bool]) -> figurative.Outcome:
    return figurative.Outcome(kind, side, contrast, told)


def test_figures_count_from_the_frozen_threshold_on() -> None:
    """Recall over registered marks; precision over all that is named, on every kind of image."""
    images = [
        outcome("registered", 70, 200, (0.9, True)),
        outcome("registered", 150, 40, (0.4, True)),
        outcome("registered", 100, 90, (0.8, False), (0.7, True)),
        outcome("unregistered", 100, 90, (0.6, False)),
        outcome("clean", 0, 0, (0.1, False)),
    ]
    small = figurative.Gallery(2, 1, images, [100.0] * 4 + [500.0])
    large = figurative.Gallery(30, 0, images[1:2], [100.0])
    rows, bars = summary.figures(figurative.Measured(0.5, (small, large)))
    counted = {row["what"]: (row["hits"], row["n"]) for row in rows}
    assert counted["2 registered: recall"] == (2, 3)
    assert counted["2 registered: precision"] == (2, 4)
    assert counted["2 registered: unregistered marks named"] == (1, 1)
    assert counted["2 registered: clean photographs named"] == (0, 1)
    assert counted["2 registered: refused as degenerate"] == (1, 3)
    assert counted["2 registered: recall, pixels: 64 to 90"] == (1, 1)
    assert counted["2 registered: recall, contrast: 0 to 60"] == (0, 1)
    assert [bar.met for bar in bars] == [False, True, True, False, False, True]


def test_a_share_of_nothing_is_no_figure() -> None:
    """What was not measured meets no bar."""
    assert summary.line("ads", "recall", 0, 0)["share"] is None
    rows, bars = summary.codes([], [])
    assert [bar.met for bar in bars] == [False]
    assert rows


def test_progress_says_how_long_the_rest_takes() -> None:
    """Neither before the first image nor after the last."""
    assert progress("part", 25, 100, 60) == "  part: 25 of 100 in 1.0 min, about 3 min left"
    assert progress("part", 0, 100, 60) == "  part: 0 of 100 in 1.0 min"
    assert progress("part", 100, 100, 60) == "  part: 100 of 100 in 1.0 min"


def test_images_for_timing_are_the_same_each_time(photographs: Path) -> None:
    """800 × 800, with a text over every third, and the median is that of all detectors together."""
    load = speed.Load(photographs, ("a.jpg", "b.jpg"), 4)
    images = list(load.images())
    assert {image.shape for image in images} == {(800, 800, 3)}
    assert all(np.array_equal(one, again) for one, again in zip(images, load.images(), strict=True))
    rows = [{"detectors": "ocr", "p50_cpu_ms": 1.0}, {"detectors": "ocr + barcode + logo", "p50_cpu_ms": 3.0}]
    assert speed.slowest(rows, 3) == 3.0
    assert speed.slowest(rows[:1], 3) is None
