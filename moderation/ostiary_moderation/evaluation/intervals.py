"""How far figures measured on so many examples can be trusted. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964  # of a normal distribution: 95% lie within


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its 95% interval. `n`: examples that it rests on."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float | int]:
        """Rounded to what the interval can bear."""
        return {
            "value": round(self.value, 4),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
            "n": self.n,
        }

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(successes: int, n: int) -> Figure:
    """A share and its Wilson score interval, which stays within 0 to 1 and is wide where n is small.

    Raises ValueError for no examples.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no share")
    share, z2 = successes / n, _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # The interval holds the share; only rounding could say otherwise.
    return Figure(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)), n)


def bootstrap(
    groups: Sequence[str],
    statistic: Callable[[NDArray[np.intp]], float | None],
    seed: int = 0,
    draws: int = 400,
) -> Figure:
    """A statistic of examples, with the percentile interval of redrawing whole groups with replacement.

    `groups`: of each example; those of one photograph stand or fall together. `statistic` gets indices into
    the examples; None where these do not define it, which leaves the redraw out. Raises ValueError where the
    examples themselves do not define it.
    """
    everything = np.arange(len(groups))
    value = statistic(everything)
    if value is None:
        raise ValueError("too few examples of either kind: measure on more photographs")
    _, group_of = np.unique(np.array(groups), return_inverse=True)
    order = np.argsort(group_of, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group_of))[:-1])
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        drawn = rng.integers(0, len(members), len(members))
        again = statistic(np.concatenate([members[index] for index in drawn]))
        if again is not None:
            found.append(again)
    low, high = np.percentile(found, [2.5, 97.5]) if found else (value, value)
    return Figure(float(value), float(min(low, value)), float(max(high, value)), len(groups))
