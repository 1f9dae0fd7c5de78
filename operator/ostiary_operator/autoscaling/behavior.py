"""Windows and rates: `behavior` as the HorizontalPodAutoscaler documents it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ostiary_operator.autoscaling.memory import Dated
from ostiary_operator.autoscaling.spec import ScalingRules


def stabilised(
    current: int,
    wanted: int,
    now: float,
    recommendations: Iterable[Dated],
    up_window: float,
    down_window: float,
) -> int:
    """What is left of a recommendation after the windows.

    On the way up the lowest recommendation of its window holds, on the way down the highest.
    """
    up = down = wanted
    for at, number in recommendations:
        if at > now - up_window:
            up = min(up, number)
        if at > now - down_window:
            down = max(down, number)
    return min(max(current, up), down)


def up_limit(
    current: int, rules: ScalingRules, now: float, ups: Sequence[Dated], downs: Sequence[Dated]
) -> int:
    """The most that the rules allow now. `ups`, `downs`: pods added and taken away, when."""
    if rules.select_policy == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = (
            current - _within(ups, now, policy.period_seconds) + _within(downs, now, policy.period_seconds)
        )
        grown = (
            start + policy.value if policy.type == "Pods" else math.ceil(start * (100 + policy.value) / 100)
        )
        limits.append(grown)
    chosen = min(limits) if rules.select_policy == "Min" else max(limits)
    return max(chosen, current)


def down_limit(
    current: int, rules: ScalingRules, now: float, ups: Sequence[Dated], downs: Sequence[Dated]
) -> int:
    """The least that the rules allow now."""
    if rules.select_policy == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = (
            current - _within(ups, now, policy.period_seconds) + _within(downs, now, policy.period_seconds)
        )
        shrunk = (
            start - policy.value if policy.type == "Pods" else math.trunc(start * (100 - policy.value) / 100)
        )
        limits.append(shrunk)
    chosen = max(limits) if rules.select_policy == "Min" else min(limits)
    return min(max(chosen, 0), current)


def _within(changes: Sequence[Dated], now: float, seconds: float) -> int:
    return sum(number for at, number in changes if at > now - seconds)
