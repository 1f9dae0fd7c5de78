"""What one decision leaves for the next. Values only: a decision never changes the memory it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Dated = tuple[float, int]
"""A time and a number of pods."""

Counted = tuple[float, float, float]
"""A time, arrivals and misses as one gateway counted them."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier decisions saw and did.

    Attributes:
        at: when the last decision was made; None before the first.
        served: pods that took checks, as far as so many are still asked for.
        recommendations: what was recommended, oldest first, before any window or rate.
        ups: pods added, when.
        downs: pods taken away, when.
        counters: what each gateway counted of late.
        panic_until: nothing is taken away before.
        disagreeing: metrics that disagree with the others, since when.
        trusted_at: when some metric was last to be trusted.
        idle_since: since when nothing arrived and nothing waited; None while something does.
    """

    at: float | None = None
    served: int = 0
    recommendations: tuple[Dated, ...] = ()
    ups: tuple[Dated, ...] = ()
    downs: tuple[Dated, ...] = ()
    counters: Mapping[str, tuple[Counted, ...]] = field(default_factory=dict)
    panic_until: float = 0.0
    disagreeing: Mapping[str, float] = field(default_factory=dict)
    trusted_at: float | None = None
    idle_since: float | None = None
