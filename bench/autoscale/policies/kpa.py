"""Knative's pod autoscaler: concurrency over a stable and a panic window."""

from __future__ import annotations

import numpy as np

from bench.autoscale.lanes import Floats, Ints, Lanes
from bench.autoscale.simulator import MOST_PODS, Seen

TICK = 2
PANIC_SHARE = 0.1
PANIC_THRESHOLD = 2.0
MAX_UP_RATE, MAX_DOWN_RATE = 1000.0, 2.0


class Kpa:
    """`target`: concurrency for each pod, utilisation target included. Without panic's end nothing
    shrinks.
    """

    every = TICK

    def __init__(self, target: float, stable: int = 60, down_delay: int = 0) -> None:
        self.target, self.stable, self.down_delay = target, stable, down_delay

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """Begin anew, out of panic."""
        self._panic_since = np.full(replicas.size, -np.inf)
        self._panicking = np.zeros(replicas.size, bool)
        self._most_in_panic = np.zeros_like(replicas)
        self._delayed = np.tile(replicas, (max(self.down_delay // TICK, 1), 1))

    def decide(self, now: int, seen: Seen) -> Ints:
        """Replicas wanted; as they are where there is no data."""
        panic_window = max(int(self.stable * PANIC_SHARE), 1)
        stable, panic = seen.mean("in_hand", self.stable), seen.mean("in_hand", panic_window)
        wanted = self.scale(now, stable, panic, seen.ready)
        wanted = np.where(seen.known, np.clip(wanted, 1, MOST_PODS), seen.current)
        if self.down_delay:
            self._delayed = np.vstack([self._delayed[1:], wanted])
            wanted = self._delayed.max(axis=0)
        return wanted

    def scale(self, now: float, stable: Floats, panic: Floats, ready: Ints) -> Ints:
        """The scaler itself: averages of concurrency over both windows, and pods that are ready."""
        pods = np.maximum(ready, 1)
        most, least = np.ceil(MAX_UP_RATE * pods), np.floor(pods / MAX_DOWN_RATE)
        by_stable, by_panic = np.ceil(stable / self.target), np.ceil(panic / self.target)
        over = by_panic / pods >= PANIC_THRESHOLD
        self._panic_since = np.where(over, now, self._panic_since)
        ends = self._panicking & ~over & (self._panic_since + self.stable < now)
        self._panicking = (self._panicking | over) & ~ends
        self._most_in_panic = np.where(self._panicking, self._most_in_panic, 0)
        wanted = np.minimum(np.maximum(by_stable, least), most).astype(np.int64)
        in_panic = np.minimum(np.maximum(by_panic, least), most).astype(np.int64)
        raised = np.maximum(np.maximum(wanted, in_panic), self._most_in_panic)
        self._most_in_panic = np.where(self._panicking, raised, 0)
        return np.where(self._panicking, raised, wanted)
