"""KEDA: a Prometheus trigger on arrivals, which an HPA under it turns into replicas.

Between one and the most replicas KEDA leaves everything to the HPA that it makes, with the trigger as an
external metric and its threshold as `AverageValue`. Polling (30 s) and cooldown (300 s) are for the step to
and from zero, which callers who wait do not allow.
"""

from __future__ import annotations

import numpy as np

from bench.autoscale.lanes import Ints, Lanes
from bench.autoscale.policies.hpa import SYNC, Behavior, by_average_value
from bench.autoscale.simulator import Seen


class Keda:
    """`threshold`: arrivals a second for each pod, over the last minute as `rate(…[1m])`."""

    every = SYNC

    def __init__(self, threshold: float, down_window: int = 300, window: int = 60) -> None:
        self.threshold, self.down_window, self.window = threshold, down_window, window

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """Begin anew."""
        self._behavior = Behavior(self.down_window, replicas)

    def decide(self, now: int, seen: Seen) -> Ints:
        """Replicas wanted. Without a metric nothing changes."""
        wanted = by_average_value(seen.mean("arrivals", self.window), self.threshold, seen.current)
        return self._behavior.apply(seen.current, np.where(seen.known, wanted, seen.current))
