"""The HorizontalPodAutoscaler (autoscaling/v2), as the Kubernetes documentation has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.autoscale.lanes import Floats, Ints, Lanes
from bench.autoscale.simulator import MOST_PODS, Seen

SYNC = 15
TOLERANCE = 0.1
_DUST = 1e-9


def within(ratio: Floats) -> NDArray[np.bool_]:
    """Whether ratios are near enough to 1 for nothing to be done."""
    return np.asarray(np.abs(ratio - 1.0) <= TOLERANCE + _DUST)


def by_average(average: Floats, target: float, measured: Ints, unready: Ints, current: Ints) -> Ints:
    """Replicas by a metric's average over the measured pods.

    Pods that are not ready count as idle where more would be wanted, and not at all where fewer would.
    """
    ratio = average / target
    rises = (ratio > 1.0) & (unready > 0)
    pods = np.where(rises, measured + unready, measured)
    filled = np.where(rises, ratio * measured / np.maximum(pods, 1), ratio)
    wanted = np.ceil(filled * pods - _DUST).astype(np.int64)
    stays = within(filled) | (rises & (filled < 1.0)) | (rises & (wanted < current)) | (measured == 0)
    return np.where(stays, current, wanted)


def by_average_value(total: Floats, target: float, current: Ints) -> Ints:
    """Replicas by an external metric with an `AverageValue` target: each is to carry `target` of the
    total.
    """
    ratio = total / (target * np.maximum(current, 1))
    return np.where(within(ratio) & (current > 0), current, np.ceil(total / target - _DUST).astype(np.int64))


class Behavior:
    """Default `behavior`: up by 100% or 4 pods in 15 s, whichever is more; down by 100% in 15 s, after a
    window.

    With a sync period of 15 s, each decision is a period of its own: what was changed by the last one lies
    just outside.
    """

    def __init__(self, down_window: int, replicas: Ints, most: int = MOST_PODS) -> None:
        self._most = most
        self._kept = np.tile(replicas, (max(down_window // SYNC, 1), 1))

    def apply(self, current: Ints, recommended: Ints) -> Ints:
        """What may be asked for now."""
        highest = np.maximum(recommended, self._kept.max(axis=0))
        self._kept = np.vstack([self._kept[1:], recommended])
        wanted = np.minimum(np.maximum(current, recommended), highest)
        most = np.maximum(current * 2, current + 4)
        allowed: Ints = np.clip(np.minimum(wanted, most), 1, self._most)
        return allowed


class Hpa:
    """On GPU utilisation as it is measured: what people put into a Prometheus adapter."""

    every = SYNC

    def __init__(self, target: float, down_window: int = 300) -> None:
        self.target, self.down_window = target, down_window

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """Begin anew."""
        self._behavior = Behavior(self.down_window, replicas)

    def decide(self, now: int, seen: Seen) -> Ints:
        """Replicas wanted. Without a metric nothing changes."""
        busy = seen.mean("busy", SYNC)
        wanted = by_average(busy, self.target, seen.ready, seen.unready, seen.current)
        return self._behavior.apply(seen.current, np.where(seen.known, wanted, seen.current))
