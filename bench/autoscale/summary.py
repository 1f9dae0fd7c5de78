"""Outcomes of all lanes, as curves in each cell and as the tables that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

import numpy as np

from bench.autoscale.arms import OURS
from bench.autoscale.compare import Point, cheaper, cost_at
from bench.autoscale.knobs import Knobs
from bench.autoscale.lanes import Cell
from bench.autoscale.oracle import GOAL
from bench.autoscale.simulator import Outcome
from bench.report import Bar

MISS_COST = 50.0
"""What a missed share costs when knobs are tuned: one check in a hundred is worth half the oracle's
GPU-hours.
"""
_FIGURES = ("p99", "shed", "flips")


@dataclass(frozen=True)
class CellResult:
    """One policy in one cell, means over seeds: a point for each setting of the knob, and its other
    figures.
    """

    points: tuple[Point, ...]
    figures: tuple[Mapping[str, float], ...]

    def at(self, knobs: Knobs) -> tuple[Point, Mapping[str, float]]:
        """The point of one setting."""
        return next(pair for pair in zip(self.points, self.figures, strict=True) if pair[0].knobs == knobs)


Day = tuple[str, int]
"""Trace and cold start: what a policy is tuned for, as people tune theirs for the load that they have."""


def day(cell: Cell) -> Day:
    """The day that a cell is one of, with its metric lags and faults."""
    return cell.trace, cell.cold_start


@dataclass(frozen=True)
class Tuned:
    """What was best on the tuning seeds.

    Attributes:
        setting: the second setting, for all days.
        tight: the main knob where more pods than one are the fewest.
        knobs: for each day.
    """

    setting: int
    tight: float
    knobs: Mapping[Day, Knobs]


@dataclass
class Results:
    """All that was measured.

    Attributes:
        cells: in the order of the lanes.
        oracle: its attainment in each cell, the worst seed's.
        policies: by name, a result for each cell.
        tuned: by name, what was best on the tuning seeds.
    """

    cells: Sequence[Cell]
    oracle: Sequence[float]
    policies: dict[str, list[CellResult]] = field(default_factory=dict)
    tuned: dict[str, Tuned] = field(default_factory=dict)

    @property
    def reachable(self) -> list[int]:
        """Cells in which the oracle reaches its goal with every seed."""
        return [index for index, reached in enumerate(self.oracle) if reached >= GOAL]

    def as_tuned(self, name: str) -> list[tuple[Point, Mapping[str, float]]]:
        """A policy as it was tuned, in each cell that the oracle can do."""
        knobs, cells = self.tuned[name].knobs, self.policies[name]
        return [cells[index].at(knobs[day(self.cells[index])]) for index in self.reachable]

    @property
    def rivals(self) -> list[str]:
        """All policies but ours."""
        return [name for name in self.policies if name != OURS]


def curves(
    cells: Sequence[Cell], seeds: int, oracle: Outcome, outcomes: Mapping[Knobs, Outcome]
) -> list[CellResult]:
    """A policy's curve in each cell, from its outcomes by knobs."""
    found = []
    for index in range(len(cells)):
        lanes = slice(index * seeds, (index + 1) * seeds)
        points, figures = [], []
        for knobs, outcome in outcomes.items():
            cost = float((outcome.pod_seconds[lanes] / oracle.pod_seconds[lanes]).mean())
            points.append(Point(float(outcome.attainment[lanes].mean()), cost, knobs))
            figures.append({name: _mean(getattr(outcome, name)[lanes]) for name in _FIGURES})
        found.append(CellResult(tuple(points), tuple(figures)))
    return found


def best_knobs(cells: Sequence[Cell], results: Sequence[CellResult], wanted: Day) -> tuple[Knobs, float]:
    """The setting with the least mean cost over a day's cells, missed checks priced in; and that cost."""
    chosen = [result for cell, result in zip(cells, results, strict=True) if day(cell) == wanted]
    swept = [point.knobs for point in chosen[0].points]
    costs = {knobs: mean(_priced(result.at(knobs)[0]) for result in chosen) for knobs in swept}
    best = min(costs, key=lambda one: costs[one])
    return best, costs[best]


def _priced(point: Point) -> float:
    return point.cost + MISS_COST * max(GOAL - point.attainment, 0.0)


def policy_rows(results: Results) -> list[dict[str, Any]]:
    """Each policy with its tuned knobs: medians over the cells that the oracle can do."""
    rows = []
    for name in results.policies:
        at = results.as_tuned(name)
        rows.append(
            {
                "policy": name,
                "attainment, median": _share(median(point.attainment for point, _ in at)),
                "attainment, worst": _share(min(point.attainment for point, _ in at)),
                "GPU-hours ÷ oracle's": median(point.cost for point, _ in at),
                "p99 s": median(figures["p99"] for _, figures in at),
                "shed": _share(mean(figures["shed"] for _, figures in at)),
                "flips/h": median(figures["flips"] for _, figures in at),
            }
        )
    return rows


def duel_rows(results: Results) -> list[dict[str, Any]]:
    """Ours against each rival at equal attainment, over the cells that the oracle can do."""
    rows = []
    for name in results.rivals:
        ours, theirs = results.policies[OURS], results.policies[name]
        won = lost = 0
        for index in results.reachable:
            mine, other = ours[index].points, theirs[index].points
            won += cheaper(mine, other)
            lost += cheaper(other, mine)
        cells = len(results.reachable)
        rows.append(
            {
                "rival": name,
                "cells": cells,
                "ours cheaper": won,
                "rival cheaper": lost,
                "alike": cells - won - lost,
            }
        )
    return rows


def cell_rows(results: Results) -> list[dict[str, Any]]:
    """GPU-hours over the oracle's at equal attainment, by trace and cold start: medians over lags and
    faults.
    """
    rows = []
    for trace, cold in dict.fromkeys((cell.trace, cell.cold_start) for cell in results.cells):
        chosen = [i for i, cell in enumerate(results.cells) if (cell.trace, cell.cold_start) == (trace, cold)]
        levels = {index: _level(results, index) for index in chosen}
        row: dict[str, Any] = {"trace": trace, "cold start s": cold, "at": _share(median(levels.values()))}
        for name, cells in results.policies.items():
            costs = [cost_at(cells[index].points, levels[index]) for index in chosen]
            reached = [cost for cost in costs if cost is not None]
            row[name] = median(reached) if 2 * len(reached) > len(costs) else None
        row["cheapest"] = min(results.policies, key=lambda one: row[one] if row[one] is not None else np.inf)
        rows.append(row)
    return rows


def knob_rows(results: Results) -> list[dict[str, Any]]:
    """What each policy was tuned to for each day."""
    return [
        {
            "trace": trace,
            "tuned for a cold start of, s": cold,
            **{name: str(tuned.knobs[trace, cold]) for name, tuned in results.tuned.items()},
        }
        for trace, cold in dict.fromkeys(map(day, results.cells))
    ]


def bars(results: Results) -> list[Bar]:
    """What the autoscaler has to show."""
    ours, reachable = results.policies[OURS], results.reachable
    costs = [point.cost for point, _ in results.as_tuned(OURS)]
    equal = [
        cost for cost in (cost_at(ours[index].points, _level(results, index)) for index in reachable) if cost
    ]
    below = 0
    for index in reachable:
        mine = ours[index].points
        below += all(cheaper(mine, results.policies[name][index].points) for name in results.rivals)
    share = below / len(reachable) if reachable else None
    return [
        Bar("tuned: GPU-hours ÷ oracle's, median cell", median(costs) if costs else None, 1.25, "at most"),
        Bar("at equal attainment: the same", median(equal) if equal else None, 1.25, "at most"),
        Bar("at equal attainment: cells below every rival", share, 0.9, "at least"),
    ]


def point_lines(results: Results) -> list[str]:
    """Every point of every curve, as CSV."""
    lines = [
        "policy,trace,cold_start,lag,fault,oracle_attainment,knob,least,attainment,gpu_hours_over_oracle,p99,shed,flips"
    ]
    for name, cells in results.policies.items():
        for cell, reached, result in zip(results.cells, results.oracle, cells, strict=True):
            for point, figures in zip(result.points, result.figures, strict=True):
                values = (*point.knobs, point.attainment, point.cost, *(figures[one] for one in _FIGURES))
                told = ",".join(f"{value:.5g}" for value in values)
                lines.append(
                    f"{name},{cell.trace},{cell.cold_start},{cell.lag},{cell.fault},{reached:.5g},{told}"
                )
    return lines


def _level(results: Results, index: int) -> float:
    return min(
        GOAL, max(point.attainment for cells in results.policies.values() for point in cells[index].points)
    )


def _mean(values: Any) -> float:
    return float(np.mean(values))


def _share(value: float) -> str:
    # Three digits would make 99.9% and 100% alike.
    return f"{100.0 * value:.2f}%"
