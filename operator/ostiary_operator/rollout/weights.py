"""Shares of the traffic, and how they change without anybody getting more than it can carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ostiary_operator.resources.part import WHOLE


def approach(
    current: Mapping[str, int], ideal: Mapping[str, int], carries: Callable[[str], int]
) -> dict[str, int]:
    """Shares on the way from `current` to `ideal`, both sums of 10,000 basis points.

    A version's share rises to what it carries at most; what it cannot take stays where it is, with those
    whose share falls, in proportion to how far each was to fall.
    """
    names = sorted({*current, *ideal})
    rises = {}
    for name in names:
        before, wanted = current.get(name, 0), ideal.get(name, 0)
        if wanted > before:
            rises[name] = max(0, min(wanted, carries(name)) - before)
    falls = {name: current.get(name, 0) - ideal.get(name, 0) for name in names if name not in rises}
    taken = _apportioned(sum(rises.values()), falls)
    shares = {name: current.get(name, 0) + rises.get(name, 0) - taken.get(name, 0) for name in names}
    return {name: share for name, share in shares.items() if share}


def _apportioned(amount: int, by: Mapping[str, int]) -> dict[str, int]:
    """`amount` in whole parts, as `by` has it, by largest remainder; no part above its own of `by`."""
    total = sum(by.values())
    if total == 0:
        return {}
    parts = {name: amount * part // total for name, part in by.items()}
    rest = sorted(by, key=lambda name: (-(amount * by[name] % total), name))
    for name in rest[: amount - sum(parts.values())]:
        parts[name] += 1
    return parts


def with_share(candidate: str, share: int, stable: str) -> dict[str, int]:
    """A share for the candidate, the rest for the stable version."""
    shares = {candidate: share, stable: WHOLE - share}
    return {name: part for name, part in shares.items() if part}
