"""Measures what each technique is worth on a GPU, with the 8B configuration.

`python -m bench.gpu` needs CUDA, prints a table and writes `bench/results/gpu.json`.
`python -m bench.gpu --device cpu --tiny` runs what a CPU can run: a check of the code, not of speed.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# Read by the hub client when it is first imported: nothing is fetched, whatever a class would like.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from bench import performance, report
from bench.engine.statistics import Spread, spread
from bench.gpu import floor, fp8, ours, stock
from bench.gpu.arms import Answer, GpuArm
from bench.gpu.clock import now
from bench.gpu.configuration import configuration, random_model
from bench.gpu.work import Work

BUILD = Path(__file__).resolve().parents[2] / "build/bench/results"
SEED = 11
_PACKAGES = ("torch", "transformers")
FP8 = "runner + graphs + FP8"

Make = Callable[[Any, Work], GpuArm]
"""Model and work → an arm."""


def arms(batches: Sequence[int]) -> list[tuple[str, Make]]:
    """Every arm, technique by technique. `batches`: of the left-padded arms; the last is the tree's too."""
    most = batches[-1]
    return [
        ("article", partial(stock.Article, "article")),
        ("4-row generate", partial(stock.Batched, "4-row generate")),
        *((f"batch {batch}", partial(stock.Batched, f"batch {batch}", batch=batch)) for batch in batches),
        ("static cache + compile", partial(stock.StaticCompiled, "static cache + compile", batch=most)),
        ("prefix reuse", partial(stock.PrefixReuse, "prefix reuse")),
        ("tree", partial(stock.Tree, "tree", batch=most)),
        ("runner", partial(ours.Ours, "runner", batch=most, captured=False)),
        ("runner + graphs", partial(ours.Ours, "runner + graphs", batch=most, captured=True)),
        (FP8, partial(ours.Ours, FP8, batch=most, captured=True)),
    ]


class Benchmark:
    """Runs the arms at each size of picture."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._device = torch.device(options.device)
        self._dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._config = configuration(options.tiny)
        name = torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"
        self._name, self._speeds = name, floor.device_of(name)

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for each arm, size and kind of check."""
        everything = arms(self._options.batches)
        plain = [arm for arm in everything if arm[0] != FP8]
        quantised = [arm for arm in everything if arm[0] == FP8]
        for group, prepare in ((plain, None), (quantised, fp8.quantise_text)):
            model = random_model(self._config, self._device, self._dtype, SEED)
            if prepare and self._device.type == "cuda":
                prepare(model)
            for side in self._options.sides:
                work = Work(self._config, self._device, self._dtype, side, self._options.written)
                for name, make in group:
                    yield from self._arm(name, make, model, work)
            del model
            self._free()

    def report(self, rows: list[dict[str, Any]]) -> report.Report:
        """What is written."""
        machine = {**report.this_machine(), "device": self._name}
        settings = {
            "tiny": self._options.tiny,
            "written tokens": self._options.written,
            "repeats": self._options.repeats,
            "dtype": str(self._dtype),
            "floor": self._speeds.source if self._speeds else "none: this device's speeds were not measured",
        }
        versions = report.installed(_PACKAGES)
        if self._device.type == "cuda":
            versions["cuda"] = str(torch.version.cuda)
        return report.Report("gpu", rows, bars(rows, self._options), settings, versions, machine)

    def _arm(self, name: str, make: Make, model: Any, work: Work) -> Iterator[dict[str, Any]]:
        about = {"arm": name, "pixels": f"{work.side}²"}
        try:
            arm = make(model, work)
            if arm.cuda and self._device.type != "cuda":
                yield {**about, "not measured": arm.cuda}
                return
            for description in (True, False):
                yield {**about, **self._measured(arm, work, description)}
        except torch.OutOfMemoryError as error:
            yield {**about, "not measured": f"out of memory: {str(error).splitlines()[0]}"}
        finally:
            self._free()

    def _measured(self, arm: GpuArm, work: Work, description: bool) -> dict[str, Any]:
        answer = arm.run(description)
        arm.run(description)  # the first compiles or captures, the second warms up
        check_answer(answer, arm, work, description)
        rates = []
        for _ in range(self._options.repeats):
            begun = now(self._device)
            arm.run(description)
            rates.append(1e3 * arm.batch / (now(self._device) - begun))
        rate = spread(rates)
        assert rate is not None
        stages = arm.stages().row() if description else {}
        return {
            "wanted": "description" if description else "flags",
            "images/s": rate.median,
            "spread": f"{rate.low:.3g} – {rate.high:.3g}",
            "ViT ms": stages.get("ViT ms"),
            "prefill ms": stages.get("prefill ms"),
            "branch ms": stages.get("branch ms"),
            "decode ms": stages.get("decode ms"),
            **self._shares(work, arm.batch, description, rate),
        }

    def _shares(self, work: Work, batch: int, description: bool, rate: Spread) -> dict[str, float | None]:
        """MFU, and the share of what the floor allows, in percent."""
        if self._speeds is None:
            return {"MFU %": None, "of the floor %": None}
        check = work.check(description)
        needed = floor.operations(self._config, check)
        least = floor.seconds(self._config, check, batch, self._speeds)
        return {
            "MFU %": 100 * needed * rate.median / self._speeds.operations,
            "of the floor %": 100 * least * rate.median,
        }

    def _free(self) -> None:
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def check_answer(answer: Answer, arm: GpuArm, work: Work, description: bool) -> None:
    """Every arm must have done the whole work.

    Raises:
        ArithmeticError: answers are missing, or are no numbers.
    """
    if answer.margins.shape != (arm.batch, len(work.questions)) or not answer.margins.isfinite().all():
        raise ArithmeticError(f"{arm.name}: margins {answer.margins}")
    if description and (answer.written is None or answer.written.shape != (arm.batch, work.written)):
        raise ArithmeticError(f"{arm.name}: did not write {work.written} tokens for each of {arm.batch}")


def bars(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> list[report.Bar]:
    """Held at the largest batch and 1024²."""
    if options.tiny:
        return []
    best = [row for row in rows if row["arm"].startswith("runner") and row["pixels"] == "1024²"]
    found = []
    for wanted, bar in (("description", 60.0), ("flags", 75.0)):
        shares = [row["of the floor %"] for row in best if row.get("wanted") == wanted]
        value = max((share for share in shares if share is not None), default=None)
        found.append(report.Bar(f"1024², {wanted}: % of the floor", value, bar, "at least"))
    speeds = [row["images/s"] for row in best if row.get("wanted") == "description"]
    article = [
        row["images/s"]
        for row in rows
        if row["arm"] == "article" and row["pixels"] == "1024²" and row.get("wanted") == "description"
    ]
    ratio = max(speeds) / article[0] if speeds and article else None
    return [*found, report.Bar("1024², description: × the article's loop", ratio, 100.0, "at least")]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to check the code")
    parser.add_argument("--sides", type=int, nargs="+", default=None, help="of the pictures, in pixels")
    parser.add_argument("--batches", type=int, nargs="+", default=None)
    parser.add_argument("--written", type=int, default=None, help="tokens of a description")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    options.sides = options.sides or ([64] if options.tiny else [512, 768, 1024])
    options.batches = options.batches or ([2, 4] if options.tiny else [8, 32, 64])
    options.written = options.written or (6 if options.tiny else 80)
    return options


def main() -> int:
    """Run; 0 where every bar is met, 1 where not, 2 where there is no CUDA device."""
    options = _options()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("bench-gpu needs a CUDA device, and this machine has none: nothing was measured.")
        return 2
    benchmark = Benchmark(options)
    rows = []
    for row in benchmark.rows():
        rows.append(row)
        print(", ".join(f"{key} {report.cell(value)}" for key, value in row.items() if value is not None))
    found = benchmark.report(rows)
    report.show(found)
    print("written:", report.write(found, BUILD if options.tiny else report.RESULTS))
    if not options.tiny:
        performance.rewrite()
    return 0 if all(bar.met for bar in found.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
