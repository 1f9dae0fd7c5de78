"""Saturation scaling as llm-d's workload variant autoscaler describes it: spare cache and queue, one pod at
a time.

A pod is saturated from 80% of its cache or five waiting checks on. With less spare than the triggers over the
pods that are not saturated, one more is asked for; where as much would be spare with one pod fewer, one
goes. The cache's share is stood in for by the checks in a pod's hands over the most that make it faster.
"""

from __future__ import annotations

import numpy as np

from bench.autoscale.lanes import Floats, Ints, Lanes
from bench.autoscale.simulator import MOST_PODS, Seen

QUEUE_MOST, QUEUE_SPARE = 5.0, 3.0
CACHE_SPARE = 0.1


def step(current: Ints, ready: Ints, cache: Floats, queue: Floats, cache_most: float) -> Ints:
    """Replicas by the mean share of cache in use and the mean queue of the ready pods."""
    saturated = (cache >= cache_most) | (queue >= QUEUE_MOST)
    spare_cache, spare_queue = cache_most - cache, QUEUE_MOST - queue
    rises = saturated | (spare_cache < CACHE_SPARE) | (spare_queue < QUEUE_SPARE)
    fewer = np.maximum(ready - 1, 1)
    after_cache, after_queue = cache * ready / fewer, queue * ready / fewer
    falls = (
        (ready >= 2) & (cache_most - after_cache >= CACHE_SPARE) & (QUEUE_MOST - after_queue >= QUEUE_SPARE)
    )
    return np.asarray(np.where(rises, current + 1, np.where(falls, current - 1, current)))


class Saturation:
    """`cache_most`: share of its cache from which on a pod counts as saturated."""

    def __init__(self, cache_most: float, every: int = 60, most: float = 32.0) -> None:
        self.cache_most, self.every, self.most = cache_most, every, most

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """It remembers nothing."""

    def decide(self, now: int, seen: Seen) -> Ints:
        """Replicas wanted. While pods are coming it does not ask for more of them."""
        pods = np.maximum(seen.ready, 1)
        in_hand, waiting = seen.mean("in_hand", 15), seen.mean("waiting", 15)
        cache = np.maximum(in_hand - waiting, 0.0) / pods / self.most
        wanted = step(seen.current, seen.ready, cache, waiting / pods, self.cache_most)
        wanted = np.where((seen.unready > 0) & (wanted > seen.current), seen.current, wanted)
        return np.clip(np.where(seen.known, wanted, seen.current), 1, MOST_PODS)
