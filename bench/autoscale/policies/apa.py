"""AIBrix's application-specific pod autoscaler: a figure of the engine for each pod, with two tolerances."""

from __future__ import annotations

import numpy as np

from bench.autoscale.lanes import Floats, Ints, Lanes
from bench.autoscale.simulator import MOST_PODS, Seen

EVERY = 10
_DUST = 1e-9


def target_replicas(
    current: Ints,
    use: Floats,
    target: float,
    up_tolerance: float = 0.1,
    down_tolerance: float = 0.2,
    up_rate: float = 2.0,
    down_rate: float = 2.0,
) -> Ints:
    """Replicas by the use of each pod: beyond a tolerance in proportion, and within a factor of what there
    is.
    """
    ratio = use / target
    wanted = np.ceil(current * ratio - _DUST)
    up = np.minimum(wanted, np.ceil(up_rate * current))
    down = np.maximum(wanted, np.floor(current / down_rate))
    moved = np.where(
        ratio > 1.0 + up_tolerance + _DUST, up, np.where(ratio < 1.0 - down_tolerance - _DUST, down, current)
    )
    return np.asarray(moved.astype(np.int64))


class Apa:
    """On running requests for each pod. It has no guard for pods that are still coming."""

    every = EVERY

    def __init__(self, target: float, window: int = 60, down_delay: int = 300) -> None:
        self.target, self.window, self.down_delay = target, window, down_delay

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """Begin anew."""
        self._delayed = np.tile(replicas, (max(self.down_delay // EVERY, 1), 1))

    def decide(self, now: int, seen: Seen) -> Ints:
        """Replicas wanted; as they are where there is no data."""
        use = seen.mean("in_hand", self.window) / np.maximum(seen.ready, 1)
        wanted = np.clip(target_replicas(seen.current, use, self.target), 1, MOST_PODS)
        wanted = np.where(seen.known, wanted, seen.current)
        self._delayed = np.vstack([self._delayed[1:], wanted])
        return np.asarray(np.maximum(wanted, self._delayed.max(axis=0)))
