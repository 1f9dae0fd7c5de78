"""A fixed-step simulator over all lanes at once.

Each second: pods that were asked for a cold start ago become ready, checks arrive, a gateway refuses those
that could not be answered within the deadline, pods work in batches, and whoever's turn it is decides on
what the metrics said `lag` seconds ago. Checks are a fluid served in the order of their arrival.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.autoscale.capacity import PodModel
from bench.autoscale.lanes import WARM_UP, Floats, Ints, Lanes

DEADLINE = 5.0
MOST_PODS = 60
_BAD_SPEED = 0.1
LOOK_BACK = 300
"""Seconds for which a metrics store hands out the last sample that it has."""


class Policy(Protocol):
    """An autoscaler. `every`: seconds between two decisions."""

    every: int

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """Begin anew with so many replicas in each lane."""

    def decide(self, now: int, seen: Seen) -> Ints:
        """Replicas wanted in each lane."""


@dataclass
class Seen:
    """What can be known at a time: replicas at once, metrics late.

    Attributes:
        now: the second.
        current: replicas asked for.
        ready: pods that take checks.
        unready: pods that do not, those a rollout has taken out among them.
        at: second of each lane's newest metrics.
        sums: running sums of each metric, [second + 1, lane].
    """

    now: int
    current: Ints
    ready: Ints
    unready: Ints
    at: Ints
    sums: dict[str, Floats]

    def mean(self, name: str, seconds: int) -> Floats:
        """Average of a metric over the last seconds that are known."""
        end = self.at + 1
        start = np.maximum(end - seconds, 0)
        sums, lane = self.sums[name], np.arange(end.size)
        return np.asarray((sums[end, lane] - sums[start, lane]) / np.maximum(end - start, 1))

    def total(self, name: str) -> Floats:
        """A counter as it stood."""
        return np.asarray(self.sums[name][self.at + 1, np.arange(self.at.size)])

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether there is a sample that a metrics store would still hand out."""
        return np.asarray((self.at >= 0) & (self.now - self.at <= LOOK_BACK))


@dataclass(frozen=True)
class Outcome:
    """What came of it, for each lane.

    Attributes:
        attainment: share of checks answered within the deadline; refused ones are not.
        pod_seconds: from asked for to gone.
        p99: seconds, of those answered.
        shed: share of checks refused.
        flips: changes of direction an hour.
    """

    attainment: Floats
    pod_seconds: Floats
    p99: Floats
    shed: Floats
    flips: Floats


METRICS = ("arrivals", "busy", "in_hand", "waiting", "misses")


def simulate(lanes: Lanes, pod: PodModel, policy: Policy, first: Ints | None = None) -> Outcome:
    """Runs a policy through all lanes. `first`: replicas to begin with; None: what the first minute needs."""
    count, seconds = lanes.count, lanes.seconds
    if first is None:
        first = np.ceil(lanes.arrivals[:60].mean(axis=0) / (0.8 * pod.best)).astype(np.int64)
    fleet = _Fleet(first, lanes.cold, seconds)
    sums = {name: np.zeros((seconds + 1, count)) for name in METRICS}
    accepted, served, latency = (np.zeros((seconds, count), np.float64) for _ in range(3))
    alive, wanted = np.zeros((seconds, count), np.int16), np.zeros((seconds, count), np.int16)
    queue = np.zeros(count)
    policy.start(lanes, first)
    for now in range(seconds):
        fleet.arrive(now)
        out = np.floor(fleet.ready * lanes.away[now])
        hanging = np.minimum(lanes.bad[now], fleet.ready - out)
        able = fleet.ready - out - (1.0 - _BAD_SPEED) * hanging
        came = lanes.arrivals[now]
        room = np.maximum(np.maximum(able, 1.0) * pod.best * DEADLINE - queue, 0.0)
        accepted[now] = np.minimum(came, room)
        queue += accepted[now]
        each = np.maximum(able, 1e-9)
        done = np.minimum(queue, able * pod.rates(queue / each))
        queue -= done
        rate = done / each
        in_hand = np.minimum(pod.in_hand(rate), pod.most)
        served[now], latency[now] = done, in_hand / np.maximum(rate, 1e-9)
        live = np.maximum(fleet.ready - out, 1.0)
        now_seen = {
            "arrivals": came,
            "busy": (pod.busy(rate) * (live - hanging) + hanging) / live,
            "in_hand": queue + in_hand * able,
            "waiting": np.maximum(queue - pod.most * able, 0.0),
            "misses": came - accepted[now],
        }
        for name, value in now_seen.items():
            np.add(sums[name][now], value, out=sums[name][now + 1])
        if now % policy.every == 0 and now >= 30:
            late = np.maximum(now - lanes.lag, 0)
            at = lanes.good[late, np.arange(count)]
            gone = out.astype(np.int64)
            seen = Seen(now, fleet.current, fleet.ready - gone, fleet.pending + gone, at, sums)
            fleet.ask(now, np.clip(policy.decide(now, seen), 0, MOST_PODS))
        alive[now], wanted[now] = fleet.ready + fleet.pending, fleet.current
    return _outcome(lanes, accepted, served, latency, alive, wanted)


class _Fleet:
    """Pods of all lanes, ready and coming."""

    def __init__(self, first: Ints, cold: Ints, seconds: int) -> None:
        self.ready = first.astype(np.int64).copy()
        self.pending = np.zeros_like(self.ready)
        self._cold = cold
        self._coming = np.zeros((seconds + int(cold.max()) + 1, first.size), np.int64)
        self._lane = np.arange(first.size)

    @property
    def current(self) -> Ints:
        """Replicas asked for."""
        return np.asarray(self.ready + self.pending)

    def arrive(self, now: int) -> None:
        """Those whose cold start is over take checks."""
        self.ready += self._coming[now]
        self.pending -= self._coming[now]

    def ask(self, now: int, wanted: Ints) -> None:
        """More are started; fewer: the newest of those that are coming go first."""
        change = wanted - self.current
        more = np.maximum(change, 0)
        self._coming[now + self._cold, self._lane] += more
        self.pending += more
        for lane in np.flatnonzero(change < 0):
            self._drop(now, int(lane), -int(change[lane]))

    def _drop(self, now: int, lane: int, count: int) -> None:
        slot = now + int(self._cold[lane])
        while count and self.pending[lane] and slot > now:
            gone = min(count, int(self._coming[slot, lane]))
            self._coming[slot, lane] -= gone
            self.pending[lane] -= gone
            count -= gone
            slot -= 1
        self.ready[lane] -= count


def _outcome(
    lanes: Lanes,
    accepted: Floats,
    served: Floats,
    latency: Floats,
    alive: NDArray[np.int16],
    wanted: NDArray[np.int16],
) -> Outcome:
    into, out = np.cumsum(accepted, axis=0), np.cumsum(served, axis=0)
    seconds, count = accepted.shape
    attainment, p99, shed = np.empty(count), np.empty(count), np.empty(count)
    for lane in range(count):
        end = np.searchsorted(out[:, lane], into[:, lane] - 1e-6)
        # What is still waiting at the end is late by at least what has passed.
        last = np.minimum(end, seconds - 1)
        took = np.where(end < seconds, end - np.arange(seconds) + latency[last, lane], np.inf)
        late_end = seconds - int(DEADLINE) - 2
        weight, took = accepted[WARM_UP:late_end, lane], took[WARM_UP:late_end]
        came = lanes.arrivals[WARM_UP:late_end, lane].sum()
        attainment[lane] = weight[took <= DEADLINE].sum() / came
        shed[lane] = 1.0 - weight.sum() / came
        order = np.argsort(took)
        share = np.cumsum(weight[order])
        p99[lane] = took[order][np.searchsorted(share, 0.99 * share[-1])]
    pods = alive[WARM_UP:].sum(axis=0, dtype=np.float64)
    return Outcome(attainment, pods, p99, shed, _flips(wanted[WARM_UP:]))


def _flips(wanted: NDArray[np.int16]) -> Floats:
    """Changes of direction an hour."""
    change = np.diff(wanted.astype(np.int64), axis=0)
    found = np.empty(change.shape[1])
    for lane in range(change.shape[1]):
        moves = np.sign(change[change[:, lane] != 0, lane])
        found[lane] = np.count_nonzero(np.diff(moves)) * 3600.0 / max(wanted.shape[0], 1)
    return found
