"""Measures the pod beside what people would use instead of it, on this machine's CPU.

`python -m bench.engine [--quick] [--resume] [--arms ours,tutorial]` prints a table and writes
`bench/results/engine.json`; `--quick` writes `build/bench/results/engine.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import performance, report
from bench.engine import environments, images, summary, task
from bench.engine.arms import ARMS, Arm, Site, named
from bench.engine.plan import Plan, full, quick
from bench.engine.unit import Material, Unit, keep, kept

WORK = environments.REPOSITORY / "build/bench"
SEED = 20261123
_PACKAGES = ("torch", "transformers", "grpcio", "pillow", "numpy")


class Run:
    """One run of the benchmark: the arms in turn, repeat after repeat."""

    def __init__(self, plan: Plan, arms: Sequence[Arm], options: argparse.Namespace) -> None:
        self._plan = plan
        self._arms = arms
        self._options = options
        self._folder = WORK / f"engine-{plan.name}"
        self._cores = [int(core) for core in options.cores.split(",")] if options.cores else _all_cores()

    def prepare(self) -> tuple[Site, Material]:
        """Bundle, task file and images; results of another set-up, or without --resume, are dropped."""
        if not self._options.resume:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        bundle = task.benchmark_bundle(self._options.bundle, self._folder / "bundle")
        work = task.stock_task(bundle, threads=self._options.threads, max_batch=self._options.max_batch)
        path = task.write_task(work, self._folder / "task.json")
        self._drop_results_of_another_setup(path)
        photos = photographs()
        _tell(f"images from {photos or 'the demo'}")
        files = images.corpus(WORK / "images", self._plan.images, SEED, photos)
        exact = images.exact_images(max(1, self._plan.agreement), SEED, photos)
        return Site(self._folder, bundle, path, self._options.threads), Material(files, exact)

    def go(self) -> report.Report:
        """Measure every arm in every repeat that is not there yet."""
        site, material = self.prepare()
        started = time.monotonic()
        units: dict[str, list[dict[str, Any]]] = {arm.name: [] for arm in self._arms}
        for repeat in range(self._plan.repeats):
            # Another arm first each time: none always meets the machine as the one before it left it.
            turn = repeat % len(self._arms)
            for arm in [*self._arms[turn:], *self._arms[:turn]]:
                units[arm.name].append(self._unit(arm, repeat, site, material))
                spent = (time.monotonic() - started) / 60
                done, of = sum(map(len, units.values())), self._plan.repeats * len(self._arms)
                _tell(f"[{done}/{of}, {spent:.1f} min]")
        return self._report(units, site)

    def _unit(self, arm: Arm, repeat: int, site: Site, material: Material) -> dict[str, Any]:
        path = self._folder / f"{arm.name}-{repeat}.json"
        if document := kept(path):
            return document
        if arm.environment and (reason := environments.missing(arm.environment)):
            return {"arm": arm.name, "repeat": repeat, "unavailable": reason}
        unit = Unit(arm, repeat, self._plan, site, self._cores, _tell)
        document = asyncio.run(unit.run(material))
        keep(document, path)
        return document

    def _report(self, units: dict[str, list[dict[str, Any]]], site: Site) -> report.Report:
        titles = {arm.name: arm.title for arm in self._arms}
        versions = report.installed(_PACKAGES)
        for arm in self._arms:
            if arm.environment and environments.missing(arm.environment) is None:
                versions |= environments.versions(arm.environment, arm.packages)
        return report.Report(
            name="engine",
            rows=summary.rows(units, self._plan, titles),
            bars=summary.bars(units, self._plan),
            versions=versions,
            settings={
                "plan": self._plan.name,
                "repeats": self._plan.repeats,
                "bundle": str(self._options.bundle),
                "cores": self._cores,
                "images": "photographs" if photographs() else "demo images",
                "arms": titles,
                **{
                    key: value
                    for key, value in json.loads(site.task.read_text(encoding="utf-8")).items()
                    if key != "folder"
                },
            },
        )

    def _drop_results_of_another_setup(self, task_file: Path) -> None:
        bundle = (self._folder / "bundle/bundle.yaml").read_bytes()
        setup = task_file.read_bytes() + bundle + repr((asdict(self._plan), self._cores)).encode()
        digest = hashlib.sha256(setup).hexdigest()
        mark = self._folder / "setup"
        if mark.exists() and mark.read_text(encoding="utf-8") != digest:
            _tell("the set-up has changed: earlier results are not reused")
            for path in self._folder.glob("*-[0-9].json"):
                path.unlink()
        mark.write_text(digest, encoding="utf-8")


def photographs() -> Path | None:
    """A folder of photographs: the variable OSTIARY_PHOTOS, or `shared/photos` beside the checkout."""
    folder = Path(os.environ.get("OSTIARY_PHOTOS", environments.REPOSITORY.parent / "shared/photos"))
    return folder if folder.is_dir() else None


def _all_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _tell(words: str) -> None:
    print(words, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-engine", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="six to eight minutes, for checking")
    parser.add_argument("--resume", action="store_true", help="keep the results of arms that are finished")
    parser.add_argument("--arms", default="", help=f"of {', '.join(arm.name for arm in ARMS)}; default: all")
    parser.add_argument("--bundle", default="mini", help="a shipped bundle's name or a folder")
    parser.add_argument("--threads", type=int, default=1, help="torch threads of every arm")
    parser.add_argument("--cores", default="", help="cores that servers are held to; default: all")
    parser.add_argument("--max-batch", type=int, default=8, help="most checks that a peer batches")
    return parser.parse_args()


def main() -> int:
    """Run; the exit status is 0 where every bar is met."""
    # As Ctrl-C does: servers are stopped on the way out, and finished arms are kept.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    options = _options()
    arms = named([name for name in options.arms.split(",") if name])
    for arm in arms:
        if arm.environment:
            _tell(f"environment of {arm.name}")
            try:
                environments.make(arm.environment)
            except environments.NoEnvironmentError as error:
                _tell(f"  cannot be made here: {error}")
    found = Run(quick() if options.quick else full(), arms, options).go()
    report.show(found)
    path = report.write(found, WORK / "results" if options.quick else report.RESULTS)
    _tell(f"written: {path}")
    if not options.quick:
        performance.rewrite()
    return 0 if all(bar.met for bar in found.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
