"""Measures the gateway beside what could stand in its place, on this machine, with a stub pod behind all.

`python -m bench.gateway [--quick] [--resume] [--arms ours,proxy]` prints a table and writes
`bench/results/gateway.json`; `--quick` writes `build/bench/results/gateway.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import performance, report
from bench.engine import environments
from bench.engine.arms import free_port
from bench.engine.process import ServerProcess
from bench.engine.unit import keep, kept
from bench.gateway import summary
from bench.gateway.arms import ARMS, PEERS, Arm, Place, named
from bench.gateway.load import Spec, answers
from bench.gateway.plan import Plan, full, quick
from bench.gateway.site import Site
from bench.gateway.unit import Unit

WORK = environments.REPOSITORY / "build/bench"
_PACKAGES = ("grpcio", "protobuf", "cryptography", "sqlalchemy", "uvloop")
_LATENCY_ARMS = ("direct", "proxy", "nginx", "ours")
_SYNCS = 20


class Run:
    """One run of the benchmark: the arms in turn, repeat after repeat."""

    def __init__(self, plan: Plan, arms: Sequence[Arm], *, resume: bool = False) -> None:
        self._plan = plan
        self._arms = arms
        self._folder = WORK / f"gateway-{plan.name}"
        self._cores = sorted(os.sched_getaffinity(0))
        if not resume:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._site = Site.make(self._folder)

    def go(self) -> report.Report:
        """Measure every arm in every repeat that is not there yet."""
        self._drop_results_of_another_setup()
        units: dict[str, list[dict[str, Any]]] = {arm.name: [] for arm in self._arms}
        port = free_port()
        command = self._site.stub(port, milliseconds=self._plan.service * 1000)
        with ServerProcess(command, cores=self._cores, env={}, log=self._folder / "pod.log") as stub:
            place = Place(self._site, f"127.0.0.1:{port}", self._cores)
            own = str(self._site.credentials("pipeline"))
            asyncio.run(answers(Spec("infer", place.pod, own, self._plan.closed[0].bytes)))
            for repeat in range(self._plan.repeats):
                self._repeat(repeat, place, stub, units)
        return self._report(units)

    def _repeat(
        self, repeat: int, place: Place, stub: ServerProcess, units: dict[str, list[dict[str, Any]]]
    ) -> None:
        # Another arm first each time: none always meets the machine as the one before it left it.
        turn = repeat % len(self._arms)
        order = [*self._arms[turn:], *self._arms[:turn]]
        for arm in order:
            units[arm.name].append(self._closed(arm, repeat, place, stub))
        ours = next((unit for unit in units.get("ours", ())[repeat:] if "cells" in unit), None)
        rate = summary.rate_of(ours, summary.middle_of(self._plan)) if ours else None
        if not rate:
            return
        for arm in order:
            if arm.name in _LATENCY_ARMS and "cells" in units[arm.name][repeat]:
                found = self._half(arm, repeat, place, stub, rate / 2)
                units[arm.name][repeat]["cells"] += found.get("cells", [])

    def _closed(self, arm: Arm, repeat: int, place: Place, stub: ServerProcess) -> dict[str, Any]:
        return self._kept(
            self._folder / f"closed-{arm.name}-{repeat}.json",
            arm,
            lambda: Unit(arm, self._plan, place, stub).run(self._plan.closed),
        )

    def _half(self, arm: Arm, repeat: int, place: Place, stub: ServerProcess, rate: float) -> dict[str, Any]:
        return self._kept(
            self._folder / f"half-{arm.name}-{repeat}.json",
            arm,
            lambda: Unit(arm, self._plan, place, stub).run([self._plan.half], rate),
        )

    def _kept(self, path: Path, arm: Arm, measure: Any) -> dict[str, Any]:
        """A unit's document: of an earlier run, or measured now and kept."""
        if document := kept(path):
            return document
        if reason := arm.missing():
            return {"unavailable": reason}
        try:
            document = {"cells": measure()}
        except TimeoutError as error:
            return {"unavailable": str(error)}
        for result in document["cells"]:
            _tell(f"{path.stem}: {result['cell']}: {result['rate']:.1f} checks/s {result['failed'] or ''}")
        keep(document, path)
        return document

    def _report(self, units: dict[str, list[dict[str, Any]]]) -> report.Report:
        versions = report.installed(_PACKAGES)
        for arm in self._arms:
            if arm.environment and environments.missing(arm.environment, PEERS) is None:
                found = environments.versions(arm.environment, arm.packages)
                versions |= {package: found[package] for package in arm.packages if package not in versions}
        if any("cells" in unit for unit in units.get("nginx", ())):
            versions["nginx"] = _nginx_version()
        return report.Report(
            name="gateway",
            rows=summary.rows(units, self._plan),
            bars=summary.bars(units, self._plan),
            versions=versions,
            settings={
                "plan": self._plan.name,
                "repeats": self._plan.repeats,
                "cores": self._cores,
                "service_ms": self._plan.service * 1000,
                "arms": {arm.name: arm.title for arm in self._arms},
                "durable_write_ms": round(durable_write_ms(self._folder), 3),
                "load_average": round(os.getloadavg()[1], 1),
            },
        )

    def _drop_results_of_another_setup(self) -> None:
        setup, mark = repr((asdict(self._plan), self._cores)), self._folder / "setup"
        if mark.exists() and mark.read_text(encoding="utf-8") != setup:
            _tell("the set-up has changed: earlier results are not reused")
            for path in (*self._folder.glob("closed-*.json"), *self._folder.glob("half-*.json")):
                path.unlink()
        mark.write_text(setup, encoding="utf-8")


def durable_write_ms(folder: Path) -> float:
    """What one small write takes to be safe on this disk, which every recorded check waits for."""
    path = folder / "sync"
    with path.open("wb") as file:
        started = time.perf_counter()
        for _ in range(_SYNCS):
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        took = time.perf_counter() - started
    path.unlink()
    return took / _SYNCS * 1000


def _nginx_version() -> str:
    done = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stderr.strip().rpartition("/")[2]


def _tell(words: str) -> None:
    print(words, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-gateway", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two to three minutes, for checking")
    parser.add_argument("--resume", action="store_true", help="keep the results of arms that are finished")
    parser.add_argument("--arms", default="", help=f"of {', '.join(arm.name for arm in ARMS)}; default: all")
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
                environments.make(arm.environment, PEERS)
            except environments.NoEnvironmentError as error:
                _tell(f"  cannot be made here: {error}")
    found = Run(quick() if options.quick else full(), arms, resume=options.resume).go()
    report.show(found)
    path = report.write(found, WORK / "results" if options.quick else report.RESULTS)
    _tell(f"written: {path}")
    if not options.quick:
        performance.rewrite()
    return 0 if all(bar.met for bar in found.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
