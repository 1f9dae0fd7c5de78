"""What each detector finds and flags wrongly: `python -m bench.detectors [--quick] [--parts ads,codes]`.

Texts, codes and marks laid over photographs, the photographs as they are, and word marks on those that
somebody looked at. What was seen is kept in `build/bench/detectors`: a run that is stopped goes on where it
was, and policies and rules may change without anything being looked at again. Writes
`bench/results/detectors.json`; a quick run, or one of some parts, `build/bench/results/detectors.json`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import performance, report
from bench.detectors import figurative, looking, marks, speed, summary
from bench.detectors.judging import Judged, judged, shipped_policy
from bench.detectors.overlays import fonts
from bench.detectors.parts import SEED, Adverts, Codes, Lookalikes, Photographs, in_order
from bench.detectors.selection import read_photographs
from bench.engine.environments import REPOSITORY

WORK = REPOSITORY / "build/bench"
_FLAGGED = Path(__file__).with_name("flagged.csv")
_PACKAGES = ("rapidocr", "onnxruntime", "zxing-cpp", "opencv-python", "numpy", "pillow", "segno")
_TOGETHER = ("ocr", "barcode", "logo")
PARTS = ("ads", "codes", "photographs", "marks", "figurative", "speed")


@dataclass(frozen=True)
class Plan:
    """How many images of each part are looked at."""

    adverts: int
    codes: int
    lookalikes: int
    photographs: int
    speed: int
    figures: int


FULL = Plan(adverts=2_000, codes=1_400, lookalikes=600, photographs=100_000, speed=100, figures=200)
QUICK = Plan(adverts=120, codes=120, lookalikes=60, photographs=120, speed=20, figures=40)


class Run:
    """One run over photographs in `folder`."""

    def __init__(self, folder: Path, plan: Plan, options: argparse.Namespace) -> None:
        self._folder = folder
        self._plan = plan
        self._bundle = options.bundle
        self._look = looking.Looking(WORK / "detectors", options.bundle, options.workers, _tell)
        self._policy = shipped_policy()
        self._labels = marks.labels()
        files = [photograph.file for photograph in read_photographs(folder / "labels.csv")]
        self._files = in_order([file for file in self._labels if file in set(files)], files)
        self._parts = options.parts
        self._ways: dict[str, Callable[[], tuple[list[dict[str, Any]], list[report.Bar]]]] = {
            "ads": self._adverts,
            "codes": self._codes,
            "photographs": self._photographs,
            "marks": self._marks,
            "figurative": self._figurative,
            "speed": self._speed,
        }

    def go(self) -> report.Report:
        """Look, judge and sum up."""
        rows: list[dict[str, Any]] = []
        bars: list[report.Bar] = []
        for name in self._parts:
            more, held = self._ways[name]()
            rows += more
            bars += held
        return report.Report("detectors", rows, bars, self._settings(), report.installed(_PACKAGES))

    def _adverts(self) -> tuple[list[dict[str, Any]], list[report.Bar]]:
        count = self._plan.adverts
        prohibited, lawful = (
            self._judged(self._look.at(Adverts(self._folder, self._files, kind, count), count))
            for kind in (True, False)
        )
        _write("missed", [*summary.missed(prohibited), *summary.wrongly_flagged(lawful)])
        return summary.adverts(prohibited, lawful)

    def _codes(self) -> tuple[list[dict[str, Any]], list[report.Bar]]:
        made = self._look.at(Codes(self._folder, self._files, self._plan.codes), self._plan.codes)
        count = self._plan.lookalikes
        without = self._look.at(Lookalikes(self._folder, self._files, count), count)
        return summary.codes(self._judged(made), without)

    def _photographs(self) -> tuple[list[dict[str, Any]], list[report.Bar]]:
        records = self._look.at(Photographs(self._folder, self._files), self._plan.photographs)
        rows, listed, bars = summary.photographs(self._judged(records), _looked_at())
        return [*rows, *listed], bars

    def _marks(self) -> tuple[list[dict[str, Any]], list[report.Bar]]:
        records = self._look.at(Photographs(self._folder, self._files), self._plan.photographs)
        records = [record for record in records if record["facts"]["file"] in self._labels]
        registry = marks.registry()
        candidates = marks.named(self._folder, records, registry, self._bundle)
        named = {file: marks.word_marks(found) for file, found in candidates.items()}
        tally = marks.tally(named, self._labels)
        rows, listed, bars = summary.marks(tally, self._labels, named, len(registry.brands))
        return [*rows, *listed], bars

    def _figurative(self) -> tuple[list[dict[str, Any]], list[report.Bar]]:
        found = figurative.measured(self._folder, WORK / "detectors/icons.npz", self._plan.figures, _tell)
        return summary.figures(found)

    def _speed(self) -> tuple[list[dict[str, Any]], list[report.Bar]]:
        load = speed.Load(self._folder, self._files, self._plan.speed)
        _tell(f"speed: {load.count} images of {speed.SIDE} × {speed.SIDE}, one core")
        found = speed.rows(load, self._bundle, [("ocr",), ("barcode",), ("ocr", "logo"), _TOGETHER])
        together = speed.slowest(found, len(_TOGETHER))
        name = f"{' + '.join(_TOGETHER)}: processor ms per image of {speed.SIDE} × {speed.SIDE}, p50"
        return found, [report.Bar(name, together, 800.0, "at most")]

    def _judged(self, records: Iterable[Any]) -> list[tuple[Any, Judged]]:
        return [(record, judged(record, self._policy)) for record in records]

    def _settings(self) -> dict[str, Any]:
        return {
            "seed": SEED,
            "images": vars(self._plan) | {"photographs": min(self._plan.photographs, len(self._files))},
            "bundle": self._bundle,
            "policy": self._policy.label,
            "rule packs": [one.label for one in self._policy.packs],
            "fonts": [Path(font).stem or "Pillow" for font in fonts("A")],
        }


def photographs_folder() -> Path | None:
    """The variable OSTIARY_PHOTOS, or `shared/photos` beside the checkout; None where neither is there."""
    folder = Path(os.environ.get("OSTIARY_PHOTOS", REPOSITORY.parent / "shared/photos"))
    return folder if (folder / "labels.csv").is_file() else None


def _looked_at() -> dict[str, str]:
    """File → whether what is flagged on it is there and prohibited, by somebody who looked."""
    with _FLAGGED.open(newline="", encoding="utf-8") as stream:
        return {row["file"]: row["right"] for row in csv.DictReader(stream)}


def _write(name: str, rows: Sequence[dict[str, Any]]) -> None:
    path = WORK / f"detectors/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _tell(f"  {len(rows)} in {path}")


def _tell(words: str) -> None:
    print(words, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-detectors", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some 120 images of each kind")
    parser.add_argument("--bundle", default="mini", help="whose settings the detectors have")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes")
    parser.add_argument("--parts", type=_parts, default=PARTS, help=f"of {', '.join(PARTS)}; default: all")
    return parser.parse_args()


def _parts(names: str) -> tuple[str, ...]:
    chosen = tuple(names.split(","))
    if unknown := [name for name in chosen if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
    return chosen


def main() -> int:
    """Run, print and write: 0 where every bar is met, 1 where not, 2 where there are no photographs."""
    options = _options()
    folder = photographs_folder()
    if folder is None:
        _tell("bench-detectors needs photographs with labels.csv: set OSTIARY_PHOTOS. Nothing was measured.")
        return 2
    found = Run(folder, QUICK if options.quick else FULL, options).go()
    report.show(found)
    whole = not options.quick and options.parts == PARTS
    _tell(f"written: {report.write(found, report.RESULTS if whole else WORK / 'results')}")
    if whole:
        performance.rewrite()
    return 0 if all(bar.met for bar in found.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
