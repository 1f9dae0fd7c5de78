"""`minReplicas`, for all policies alike."""

from __future__ import annotations

import numpy as np

from bench.autoscale.lanes import Ints, Lanes
from bench.autoscale.simulator import Policy, Seen


class Floored:
    """A policy with never fewer than so many replicas."""

    def __init__(self, policy: Policy, least: int) -> None:
        self.policy, self.least = policy, least
        self.every = policy.every

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """Begin anew."""
        self.policy.start(lanes, replicas)

    def decide(self, now: int, seen: Seen) -> Ints:
        """Replicas wanted."""
        return np.asarray(np.maximum(self.policy.decide(now, seen), self.least))
