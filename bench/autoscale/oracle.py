"""An oracle: it knows every arrival and every fault, and waits for its pods as long as everybody else.

Within a deadline checks may be spread over the seconds that are left, so that the mean over that window is
what has to be carried. A pod is kept through a pause that is shorter than a cold start, since bringing it
back would cost more pod-seconds than keeping it. Of the plans that leave a little undone the cheapest is
taken that still reaches 99.9%: it is a strong plan, not the proven least.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.autoscale.capacity import PodModel
from bench.autoscale.lanes import Floats, Ints, Lanes
from bench.autoscale.simulator import DEADLINE, MOST_PODS, Outcome, Seen, simulate

GOAL = 0.999
_THRIFT = (0.85, 0.9, 0.94, 0.97, 1.0, 1.04, 1.1)


class Planned:
    """Asks for what a plan of ready pods wants between now and a cold start from now."""

    every = 1

    def __init__(self, plan: Ints, cold: Ints) -> None:
        self._asked = np.stack([_ahead(plan[:, lane], int(cold[lane])) for lane in range(cold.size)], axis=1)

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """The plan is all there is."""

    def decide(self, now: int, seen: Seen) -> Ints:
        """Replicas wanted."""
        return np.asarray(self._asked[now])


def _ahead(plan: Ints, width: int) -> Ints:
    """The most that is wanted from each second on until `width` seconds later."""
    padded = np.concatenate([plan, np.full(width, plan[-1])])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, width + 1).max(axis=1))


def needed(lanes: Lanes, pod: PodModel, thrift: float) -> Ints:
    """Ready pods, second by second, that carry the arrivals within their deadlines."""
    window = int(DEADLINE) - 2
    sums = np.vstack([np.zeros(lanes.count), np.cumsum(lanes.arrivals, axis=0)])
    start = np.maximum(np.arange(lanes.seconds) + 1 - window, 0)
    mean = (sums[1:] - sums[start]) / window
    able = mean * thrift / pod.best
    pods = np.ceil((able + 0.9 * lanes.bad) / np.maximum(1.0 - lanes.away, 0.1) - 1e-9)
    return np.clip(pods, 1, MOST_PODS).astype(np.int64)


def kept(plan: Ints, cold: Ints) -> Ints:
    """The plan with pauses closed that are shorter than the cold start: in each, what was there before or
    comes after, whichever is less, stays.
    """
    closed = plan.copy()
    for lane in range(plan.shape[1]):
        closed[:, lane] = _closed(plan[:, lane], int(cold[lane]))
    return closed


def _closed(plan: Ints, width: int) -> Ints:
    """Morphological closing: the sliding maximum, then the sliding minimum, over the width."""
    padded = np.concatenate([np.full(width, plan[0]), plan, np.full(width, plan[-1])])
    windows = np.lib.stride_tricks.sliding_window_view(padded, width + 1)
    raised = windows.max(axis=1)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(raised, width + 1).min(axis=1))


def oracle(lanes: Lanes, pod: PodModel) -> Outcome:
    """The cheapest plan of each lane that reaches the goal, or the one that comes nearest."""
    best: Outcome | None = None
    for thrift in _THRIFT:
        plan = kept(needed(lanes, pod, thrift), lanes.cold)
        first = plan[: 60 + int(lanes.cold.max())].max(axis=0)
        found = simulate(lanes, pod, Planned(plan, lanes.cold), first)
        best = found if best is None else _better(best, found)
    assert best is not None
    return best


def _better(before: Outcome, found: Outcome) -> Outcome:
    reached = found.attainment >= GOAL
    takes = np.where(
        before.attainment >= GOAL,
        reached & (found.pod_seconds < before.pod_seconds),
        reached | (found.attainment > before.attainment),
    )
    values: dict[str, Floats] = {
        name: np.where(takes, getattr(found, name), getattr(before, name))
        for name in ("attainment", "pod_seconds", "p99", "shed", "flips")
    }
    return replace(before, **values)
