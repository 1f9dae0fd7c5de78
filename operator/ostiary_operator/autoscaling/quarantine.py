"""Finds the metric that says something else than all others, and sets it aside if it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

FACTOR = 2.0
PODS = 2
"""So many times, and so many pods, a proposal must be off the others' to disagree with them."""


def disagreeing(proposals: Mapping[str, float], before: Mapping[str, float], now: float) -> dict[str, float]:
    """Which metrics disagree with the others now, and since when.

    It takes three to say who is wrong: of two, either may be. `proposals`: pods, by metric and witness.
    """
    if len(proposals) < 3:
        return {}
    middle = median(proposals.values())
    return {name: min(before.get(name, now), now) for name, pods in proposals.items() if _off(pods, middle)}


def split(proposals: Mapping[str, float]) -> bool:
    """Whether two metrics disagree, and nobody can say which is wrong."""
    if len(proposals) != 2:
        return False
    low, high = sorted(proposals.values())
    return high - low >= PODS and high > FACTOR * low


def _off(pods: float, middle: float) -> bool:
    low, high = sorted((pods, middle))
    return high - low >= PODS and high > FACTOR * low
