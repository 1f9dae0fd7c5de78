"""What an average over pods asks for: the rule of the HorizontalPodAutoscaler, missing and unready pods
included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_EXACT = 1e-9  # 3 × 1.1 is not quite 3.3 in floating point, and would round up to one pod more


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a ratio may be from 1 without anything being done."""

    up: float
    down: float

    def holds(self, ratio: float) -> bool:
        """Whether the ratio is near enough to 1."""
        return 1.0 - self.down - _EXACT <= ratio <= 1.0 + self.up + _EXACT


def ceil(pods: float) -> int:
    """The next whole number of pods, floating-point dust left out."""
    return math.ceil(pods - _EXACT)


def by_average(
    values: Sequence[float],
    target: float,
    current: int,
    tolerance: Tolerance,
    missing: int = 0,
    unready: int = 0,
) -> int:
    """Pods that an average over pods asks for.

    Args:
        values: one for each ready pod that was measured; at least one.
        target: the average that is wanted.
        current: replicas asked for now.
        tolerance: within it nothing changes.
        missing: ready pods without a value: they count as on target on the way down, as idle on the way up.
        unready: pods that are still coming: idle on the way up, not counted on the way down.
    """
    total = math.fsum(values)
    ratio = total / len(values) / target
    coming = unready if ratio > 1.0 else 0
    if not coming and not missing:
        return current if tolerance.holds(ratio) else ceil(ratio * len(values))
    pods = len(values) + missing + coming
    if ratio < 1.0:
        total += missing * target
    filled = total / pods / target
    turned = (ratio < 1.0 < filled) or (filled < 1.0 < ratio)
    if turned or tolerance.holds(filled):
        return current
    wanted = ceil(filled * pods)
    if (filled < 1.0 and wanted > current) or (filled > 1.0 and wanted < current):
        return current
    return wanted


def by_total(total: float, target: float, current: int, tolerance: Tolerance) -> int:
    """Pods that a total asks for, where `target` is what one pod is to carry of it."""
    if current > 0 and tolerance.holds(total / (target * current)):
        return current
    return ceil(total / target)
