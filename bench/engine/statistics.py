"""From samples to figures. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` (0 to 1) of all values are at or below; None for no values.

    Nearest rank: always one of the values, so that a tail is never made smaller by interpolation.
    """
    if not values:
        return None
    rank = max(1, math.ceil(share * len(values) - 1e-9))
    return sorted(values)[rank - 1]


@dataclass(frozen=True)
class Spread:
    """Median over repeats, with the least and the most."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} – {self.high:.3g})"


def spread(values: Sequence[float | None]) -> Spread | None:
    """Over the repeats that have a figure; None where none has."""
    known = [value for value in values if value is not None]
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def ratio_of_repeats(ours: Sequence[float | None], theirs: Sequence[float | None]) -> float | None:
    """Median over repeats of ours / theirs.

    The arms of one repeat ran one after another: a slow quarter of an hour hits both sides of a ratio.
    """
    ratios = [a / b for a, b in zip(ours, theirs, strict=False) if a is not None and b]
    return statistics.median(ratios) if ratios else None


def steady_rate(completions: Sequence[float], start: float, end: float) -> float | None:
    """Completions a second within (start, end], from one completion to another.

    Batches complete in bursts: a window that is cut by the clock would count one burst too many or too few.
    `start` should be the time of a completion; the window ends with the last one at or before `end`. None
    where they span less than half of the window: one burst alone says nothing of a rate.
    """
    inside = [time for time in completions if start < time <= end]
    if not inside or max(inside) - start < (end - start) / 2:
        return None
    return len(inside) / (max(inside) - start)
