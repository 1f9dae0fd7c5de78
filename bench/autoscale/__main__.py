"""Autoscalers side by side: `python -m bench.autoscale [--quick] [--resume] [--lags 15] [--seeds 3]`.

Prints the tables, writes `bench/results/autoscale.json`, every point as CSV and the curves as SVG beside it,
and brings docs/autoscaling.md up to date. A quick run writes to `build/bench/results` and leaves the page
alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from bench.autoscale import capacity, lanes, plot, summary
from bench.autoscale.arms import ARMS, Arm
from bench.autoscale.knobs import Knobs
from bench.autoscale.lanes import Cell, Lanes
from bench.autoscale.oracle import oracle
from bench.autoscale.simulator import DEADLINE, MOST_PODS, Outcome, simulate
from bench.autoscale.store import Store
from bench.performance import PAGE, rewrite
from bench.report import RESULTS, Report, installed, show, write

BUILD = Path(__file__).resolve().parents[2] / "build/bench"
TUNING_SEEDS = (9001, 9002)
SEEDS = tuple(range(1, 11))
AUTOSCALING_PAGE = PAGE.with_name("autoscaling.md")


class Bench:
    """One run over a grid."""

    def __init__(
        self,
        cells: Sequence[Cell],
        seeds: Sequence[int],
        pod: capacity.PodModel,
        store: Store,
        arms: Sequence[Arm] = ARMS,
        seconds: int = lanes.SECONDS,
    ) -> None:
        self.cells, self.seeds, self.pod, self.store = list(cells), tuple(seeds), pod, store
        self.arms, self.seconds = arms, seconds
        self._started = time.monotonic()

    def run(self) -> summary.Results:
        """Tunes every policy on seeds of its own, then sweeps its knobs over all cells."""
        tuning_cells = [cell for cell in self.cells if cell.fault == "none"]
        tuning, lanes_ = self._lanes(tuning_cells, TUNING_SEEDS), self._lanes(self.cells, self.seeds)
        easy = self._oracle(tuning, TUNING_SEEDS)
        reached = self._oracle(lanes_, self.seeds)
        worst = reached.attainment.reshape(len(self.cells), len(self.seeds)).min(axis=1)
        results = summary.Results(self.cells, worst.tolist())
        for arm in self.arms:
            chosen = self._tuned(arm, tuning, tuning_cells, easy)
            outcomes = {
                knobs: self._outcome(arm, knobs, chosen.setting, lanes_, self.seeds)
                for knobs in arm.sweep(chosen.tight)
            }
            results.policies[arm.name] = summary.curves(self.cells, len(self.seeds), reached, outcomes)
            results.tuned[arm.name] = chosen
        return results

    def _lanes(self, cells: Sequence[Cell], seeds: Sequence[int]) -> Lanes:
        return lanes.lanes(cells, seeds, self.seconds)

    def _tuned(self, arm: Arm, tuning: Lanes, cells: Sequence[Cell], easy: Outcome) -> summary.Tuned:
        """What costs least over all days, with the best knobs for each."""
        found = []
        for setting, tight in product(arm.settings, arm.tight):
            outcomes = {
                knobs: self._outcome(arm, knobs, setting, tuning, TUNING_SEEDS) for knobs in arm.sweep(tight)
            }
            results = summary.curves(cells, len(TUNING_SEEDS), easy, outcomes)
            best = {day: summary.best_knobs(cells, results, day) for day in map(summary.day, cells)}
            knobs = {day: chosen for day, (chosen, _) in best.items()}
            found.append((sum(cost for _, cost in best.values()), summary.Tuned(setting, tight, knobs)))
        return min(found, key=lambda one: one[0])[1]

    def _outcome(self, arm: Arm, knobs: Knobs, setting: int, over: Lanes, seeds: Sequence[int]) -> Outcome:
        def run() -> Outcome:
            self._say(f"{arm.name}, {knobs}; {setting}; {over.count} lanes")
            return simulate(over, self.pod, arm.policy(self.pod, knobs, setting))

        return self.store.get(self._key(over, seeds, arm.name, knobs, setting), run)

    def _oracle(self, over: Lanes, seeds: Sequence[int]) -> Outcome:
        def run() -> Outcome:
            self._say(f"oracle, {over.count} lanes")
            return oracle(over, self.pod)

        return self.store.get(self._key(over, seeds, "oracle"), run)

    def _key(self, over: Lanes, seeds: Sequence[int], *what: object) -> str:
        cells = sorted({(cell.trace, cell.cold_start, cell.lag, cell.fault) for cell in over.cells})
        return json.dumps([what, cells, list(seeds), self.pod.source, self.pod.rate], default=str)

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._started:6.0f} s  {what}", flush=True)


def main() -> int:
    """Run, print and write; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--quick", action="store_true", help="a corner of the grid, two seeds, within two minutes"
    )
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run has simulated")
    parser.add_argument("--lags", type=int, nargs="*", help="only these metric lags, s")
    parser.add_argument("--cold-starts", type=int, nargs="*", help="only these cold starts, s")
    parser.add_argument("--faults", nargs="*", help="only these faults")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="so many seeds (10)")
    parser.add_argument(
        "--profile", type=Path, help="of `ostiary model profile --json`; else mini, as measured"
    )
    options = parser.parse_args()
    pod = capacity.from_profile(options.profile) if options.profile else capacity.from_engine_bench()
    cells = [
        cell
        for cell in lanes.grid(options.quick)
        if (not options.lags or cell.lag in options.lags)
        and (not options.cold_starts or cell.cold_start in options.cold_starts)
        and (not options.faults or cell.fault in options.faults)
    ]
    seeds = SEEDS[: 2 if options.quick else options.seeds]
    folder = BUILD / "autoscale"
    if not options.resume:
        shutil.rmtree(folder, ignore_errors=True)
    results = Bench(cells, seeds, pod, Store(folder)).run()
    settings = {
        "pod model": pod.source,
        "checks/s of a pod": dict(zip(map(str, pod.concurrency), pod.rate, strict=True)),
        "cells": f"{len(cells)} of {len(lanes.grid(quick=False))}",
        "cells that the oracle can do": len(results.reachable),
        "cold starts s": sorted({cell.cold_start for cell in cells}),
        "lags s": sorted({cell.lag for cell in cells}),
        "faults": sorted({cell.fault for cell in cells}),
        "seeds": list(seeds),
        "tuning seeds": list(TUNING_SEEDS),
        "deadline s": DEADLINE,
        "most pods": MOST_PODS,
        "knobs": {arm.name: arm.knob for arm in ARMS},
        "settings": {arm.name: f"{arm.setting}: {results.tuned[arm.name].setting}" for arm in ARMS},
    }
    rows = [
        *summary.policy_rows(results),
        *summary.duel_rows(results),
        *summary.cell_rows(results),
        *summary.knob_rows(results),
    ]
    report = Report("autoscale", rows, summary.bars(results), settings, installed(["numpy"]))
    show(report)
    into = BUILD / "results" if options.quick else RESULTS
    print(f"written to {write(report, into)}")
    (into / "autoscale.csv").write_text("\n".join([*summary.point_lines(results), ""]), "utf-8")
    plot.draw(results, into / "autoscale.svg")
    if not options.quick:
        rewrite(AUTOSCALING_PAGE, names=("autoscale",))
    return 0 if all(bar.met for bar in report.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
