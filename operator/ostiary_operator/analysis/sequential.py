"""How far two means lie apart, by bounds that hold at every look at once: one may look as often as one likes,
and stop whenever one likes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

STARTING_SAMPLES = 200.0
"""Per side: where the bounds are meant to be tightest. They hold everywhere."""


@dataclass(frozen=True)
class Moments:
    """Of a figure over checks. `total` and `squares`: sums of its values and of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> Moments:
        """Of values."""
        seen = list(values)
        return cls(len(seen), math.fsum(seen), math.fsum(value * value for value in seen))

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Raises ZeroDivisionError where there is nothing."""
        return self.total / self.count

    @property
    def variance(self) -> float:
        """Of one value, with one made-up value a standard deviation of one half away: a share that was 0 in a
        hundred checks is not known to be 0.
        """
        mean = self.mean
        spread = max(0.0, self.squares / self.count - mean * mean)
        return (spread * self.count + 0.25) / (self.count + 1)


@dataclass(frozen=True)
class Interval:
    """Between which a difference lies."""

    low: float
    high: float


def difference(candidate: Moments, baseline: Moments, alpha: float) -> Interval:
    """Where the candidate's mean less the baseline's lies, wrong with probability alpha over all looks.

    The normal mixture's boundary (Robbins 1970) on the difference's information, as in asymptotic confidence
    sequences (arXiv:2103.06476): with information t = 1 / variance of the difference and a constant r, the
    difference is known to within sqrt((t + r) (ln((t + r) / r) + 2 ln(1 / alpha))) / t.

    Raises ZeroDivisionError where one of them has no value.
    """
    spread = candidate.variance / candidate.count + baseline.variance / baseline.count
    information = 1.0 / spread
    start = STARTING_SAMPLES / (candidate.variance + baseline.variance)
    ahead = information + start
    reach = math.sqrt(ahead * (math.log(ahead / start) + 2.0 * math.log(1.0 / alpha))) / information
    centre = candidate.mean - baseline.mean
    return Interval(centre - reach, centre + reach)
