"""What a simulated pod does, taken from a capacity profile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report import RESULTS
from ostiary_operator.autoscaling.spec import Capacity, LoadPoint

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PodModel:
    """Checks a second by how many are in a pod's hands at once. `source`: where the points were measured."""

    concurrency: tuple[float, ...]
    rate: tuple[float, ...]
    source: str

    @property
    def alone(self) -> float:
        """Checks a second, one after another."""
        return self.rate[0]

    @property
    def best(self) -> float:
        """Checks a second in the largest measured batches."""
        return self.rate[-1]

    @property
    def most(self) -> float:
        """Checks in a pod's hands beyond which it gets no faster."""
        return self.concurrency[-1]

    def rates(self, concurrency: Floats) -> Floats:
        """Checks a second of a pod with so many at once."""
        return np.interp(concurrency, (0.0, *self.concurrency), (0.0, *self.rate))

    def in_hand(self, rate: Floats) -> Floats:
        """Checks in a pod's hands that does so many a second."""
        return np.interp(rate, (0.0, *self.rate), (0.0, *self.concurrency))

    def busy(self, rate: Floats) -> Floats:
        """Share of the time for which the device works on something: its duty cycle.

        A batch of one keeps it as busy as a batch of many. So it is busy all the time as soon as checks come
        as fast as it does them one by one, however many more it could do in batches.
        """
        return np.minimum(rate / self.alone, 1.0)

    def capacity(self, cold_start: float) -> Capacity:
        """The same as the autoscaler's spec has it."""
        points = tuple(
            LoadPoint(concurrency=int(level), checks_per_second=rate)
            for level, rate in zip(self.concurrency, self.rate, strict=True)
        )
        return Capacity(points=points, cold_start_seconds=cold_start)


def from_profile(path: Path) -> PodModel:
    """Of a file that `ostiary model profile --json` printed, with descriptions where it has them."""
    points: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["capacity"]["points"]
    described = [point for point in points if point["describe"]] or points
    pairs = [(float(point["concurrency"]), float(point["checks_per_second"])) for point in described]
    return _rising(pairs, f"{path.name}, with descriptions")


def from_engine_bench(path: Path = RESULTS / "engine.json") -> PodModel:
    """Of `make bench-engine`: the shipped pod with `mini`, descriptions included, closed loop at 1, 8 and
    32.
    """
    rows = json.loads(path.read_text("utf-8"))["rows"]
    pairs = [
        (float(level), float(row["checks/s"]))
        for level in (1, 8, 32)
        for row in rows
        if row.get("arm") == "ours" and row.get("cell") == f"closed {level}, description"
    ]
    return _rising(pairs, "bench/results/engine.json: mini, closed loop, with descriptions")


def _rising(pairs: Sequence[tuple[float, float]], source: str) -> PodModel:
    """The points as far as more at once is also faster: chance may have one point below the last."""
    kept: list[tuple[float, float]] = []
    for level, rate in sorted(pairs):
        if not kept or rate > kept[-1][1]:
            kept.append((level, rate))
    if not kept or kept[0][1] <= 0.0:
        raise ValueError(f"{source}: no measured points")
    return PodModel(tuple(level for level, _ in kept), tuple(rate for _, rate in kept), source)
