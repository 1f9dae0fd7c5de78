"""Who needs fewer GPU-hours for the same attainment.

Each policy is a curve: its main knob and its fewest pods swept, each setting a point (attainment, GPU-hours
over the oracle's), means over the seeds of a cell. The level at which two policies are compared is 99.9%, or
where neither gets there the highest attainment that either reaches: so whoever cannot reach it loses. Between
two settings of a curve the cheapest mixture counts: a policy is not charged for a coarse sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.autoscale.knobs import Knobs

LEVEL = 0.999
SLACK = 0.0005
"""Attainments that are nearer than this are the same."""


@dataclass(frozen=True, order=True)
class Point:
    """One setting in one cell."""

    attainment: float
    cost: float
    knobs: Knobs = field(default_factory=Knobs)


def frontier(points: Sequence[Point]) -> list[Point]:
    """The lower convex hull: settings, and mixtures of two, that nothing beats; from cheap to reliable."""
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (one.cost, -one.attainment)):
        if best and point.attainment <= best[-1].attainment:
            continue
        while len(best) >= 2 and _above(best[-2], best[-1], point):
            best.pop()
        best.append(point)
    return best


def cost_at(points: Sequence[Point], level: float) -> float | None:
    """GPU-hours over the oracle's for so much attainment; None: it is not reached."""
    hull = frontier(points)
    if not hull or hull[-1].attainment < level - SLACK:
        return None
    before = hull[0]
    if before.attainment >= level:
        return before.cost
    for after in hull[1:]:
        if after.attainment >= level:
            share = (level - before.attainment) / (after.attainment - before.attainment)
            return before.cost + share * (after.cost - before.cost)
        before = after
    return before.cost


def level_for(one: Sequence[Point], other: Sequence[Point]) -> float:
    """Where two policies are compared."""
    return min(LEVEL, max(point.attainment for point in (*one, *other)))


def cheaper(one: Sequence[Point], other: Sequence[Point]) -> bool:
    """Whether the first takes fewer GPU-hours than the second, or reaches what the second cannot."""
    level = level_for(one, other)
    mine, theirs = cost_at(one, level), cost_at(other, level)
    if mine is None:
        return False
    return theirs is None or mine < theirs


def _above(before: Point, middle: Point, after: Point) -> bool:
    """Whether a mixture of the outer two is at least as good as the middle one."""
    rise = (after.attainment - before.attainment) * (middle.cost - before.cost)
    return rise >= (middle.attainment - before.attainment) * (after.cost - before.cost)
