"""The grid: every cell with every seed is a lane, and all lanes are simulated side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bench.autoscale import traces

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WARM_UP = 300
"""Seconds before anything is measured."""
SECONDS = 2700
COLD_STARTS = (5, 30, 120, 300)
LAGS = (1, 15, 30)
FAULTS = ("none", "scrape loss", "bad pod", "rollout")
SCRAPE = 15
_LOST = 0.2
_BLACKOUT = 120
_BAD_POD = 600
_UNAVAILABLE = 0.25


@dataclass(frozen=True)
class Cell:
    """One kind of day."""

    trace: str
    cold_start: int
    lag: int
    fault: str


@dataclass(frozen=True)
class Lanes:
    """All that is given to policies and oracle alike.

    Attributes:
        cells: of each lane.
        arrivals: in each second and lane.
        cold: seconds from asking to ready.
        lag: seconds by which metrics are old.
        good: of each second, the newest second whose scrape was not lost.
        bad: pods that hang, in each second and lane: 0 or 1.
        away: share of the pods that a rollout has taken out.
    """

    cells: tuple[Cell, ...]
    arrivals: Floats
    cold: Ints
    lag: Ints
    good: Ints
    bad: Floats
    away: Floats

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.cells)

    @property
    def seconds(self) -> int:
        """How long each lasts."""
        return int(self.arrivals.shape[0])


def grid(quick: bool) -> list[Cell]:
    """All cells; a quick look takes those of two cold starts, one lag and two faults."""
    colds, lags, faults = (
        (COLD_STARTS, LAGS, FAULTS) if not quick else ((30, 120), (15,), ("none", "bad pod"))
    )
    return [Cell(*one) for one in product(traces.SHAPES, colds, lags, faults)]


def lanes(cells: Sequence[Cell], seeds: Sequence[int], seconds: int = SECONDS) -> Lanes:
    """Every cell with every seed, cell by cell."""
    each = [(cell, seed) for cell in cells for seed in seeds]
    made = {
        (name, seed): traces.made(name, seed, seconds)
        for name in {cell.trace for cell in cells}
        for seed in seeds
    }
    good, bad, away = (np.empty((seconds, len(each)), kind) for kind in (np.int64, float, float))
    for lane, (cell, seed) in enumerate(each):
        rng = np.random.default_rng([seed, 77])
        good[:, lane], bad[:, lane], away[:, lane] = _fault(cell, rng, seconds)
    return Lanes(
        cells=tuple(cell for cell, _ in each),
        arrivals=np.stack([made[cell.trace, seed] for cell, seed in each], axis=1),
        cold=np.array([cell.cold_start for cell, _ in each]),
        lag=np.array([cell.lag for cell, _ in each]),
        good=good,
        bad=bad,
        away=away,
    )


def _fault(cell: Cell, rng: np.random.Generator, seconds: int) -> tuple[Ints, Floats, Floats]:
    at = int(rng.uniform(0.25, 0.6) * seconds)
    good, bad, away = np.arange(seconds), np.zeros(seconds), np.zeros(seconds)
    if cell.fault == "scrape loss":
        # A fifth of all scrapes at random, and two minutes in one piece.
        lost = np.repeat(rng.random(seconds // SCRAPE + 1) < _LOST, SCRAPE)[:seconds]
        lost[at : at + _BLACKOUT] = True
        lost[0] = False
        good = np.maximum.accumulate(np.where(lost, 0, good))
    elif cell.fault == "bad pod":
        bad[at : at + _BAD_POD] = 1.0
    elif cell.fault == "rollout":
        # Four batches, each out for a cold start and a little.
        away[at : at + min(4 * (cell.cold_start + 15), 1200)] = _UNAVAILABLE
    return good, bad, away
