"""The limit that is found from how long checks take, against simulated pods in virtual time."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

import pytest

from ostiary_gateway.admission.concurrency import GradientLimiter, LimiterSettings

Pods = Callable[["Simulation"], float]  # seconds that a check takes that starts now


@dataclass
class Simulation:
    """Callers without end: whenever the limit lets one in, it comes. `offered`: most at once, if fewer."""

    slots: int
    seconds: float
    offered: int = 10_000
    noise: float = 0.1

    def run(self, limiter: GradientLimiter, until: float, seed: int = 0) -> list[tuple[float, int, float]]:
        """(time, checks in progress, seconds that it took) of every check that ended."""
        rng = random.Random(seed)
        free = [0.0] * self.slots  # when each slot is free again
        heapq.heapify(free)
        going: list[tuple[float, int, float]] = []
        numbers = itertools.count()
        now, ended = 0.0, []
        while now < until:
            while len(going) < min(limiter.limit, self.offered):
                begins = max(now, heapq.heappop(free))
                ends = begins + self.seconds * rng.uniform(1 - self.noise, 1 + self.noise)
                heapq.heappush(free, ends)
                heapq.heappush(going, (ends, next(numbers), now))
            now, _, came = heapq.heappop(going)
            ended.append((now, len(going) + 1, now - came))
            limiter.learn("", now - came, len(going) + 1, now)
        return ended


@pytest.mark.parametrize("slots", [2, 5, 16, 60, 200])
@pytest.mark.parametrize("seconds", [0.02, 0.3])
def test_the_limit_settles_at_what_pods_can_carry(slots: int, seconds: float) -> None:
    """Under any overload checks take little longer than when nothing waits, and hardly a slot stays idle."""
    simulation = Simulation(slots, seconds)
    settled = [
        row for row in simulation.run(GradientLimiter(LimiterSettings(), 0.0), until=90.0) if row[0] > 30.0
    ]
    throughput = len(settled) / 60.0
    assert throughput >= 0.85 * slots / seconds
    assert mean(took for _, _, took in settled) <= 1.6 * seconds


def test_batches_are_let_fill() -> None:
    """Pods that look at many images at once for little more than one are given many."""
    limiter, now = GradientLimiter(LimiterSettings(), 0.0), 0.0
    for _ in range(4_000):
        together = limiter.limit
        now += 0.05 + 0.005 * together + 1e-9  # a batch of all that are in progress
        for _ in range(together):
            limiter.learn("", 0.05 + 0.005 * together, together, now)
    share = together / (0.05 + 0.005 * together) * 0.005
    assert share >= 0.55  # of the throughput that batches without end would reach


def test_a_limit_that_nobody_reaches_stays() -> None:
    """Few callers say nothing about what could be carried: no test, no change."""
    limiter = GradientLimiter(LimiterSettings(initial=32), 0.0)
    Simulation(slots=64, seconds=0.1, offered=4).run(limiter, until=120.0)
    assert limiter.limit == 32


def test_the_limit_follows_pods_that_come_and_go() -> None:
    """Pods leave, and come back: within some ten seconds the limit has followed."""
    limiter = GradientLimiter(LimiterSettings(), 0.0)
    Simulation(64, 0.2).run(limiter, until=60.0)
    fewer = Simulation(16, 0.2).run(_Shifted(limiter, 60.0), until=20.0)
    assert mean(took for ended, _, took in fewer if ended > 10.0) <= 1.5 * 0.2
    again = Simulation(64, 0.2).run(_Shifted(limiter, 80.0), until=20.0)
    assert sum(ended > 10.0 for ended, _, _ in again) / 10.0 >= 0.85 * 64 / 0.2


def test_kinds_are_compared_with_their_like() -> None:
    """A change in what is asked for, from flags to descriptions, is not taken for overload."""
    limiter, now = GradientLimiter(LimiterSettings(initial=20), 0.0), 0.0
    for kind, seconds in (("flags", 0.05), ("description", 0.5)):
        for _ in range(400):
            now += seconds / 20
            limiter.learn(kind, seconds, limiter.limit, now)
    assert limiter.limit >= 20


def test_the_limit_keeps_within_its_bounds() -> None:
    """Neither pods that answer nothing in time nor pods without end move it beyond."""
    settings = LimiterSettings(initial=8, least=4, most=24)
    slow, quick = GradientLimiter(settings, 0.0), GradientLimiter(settings, 0.0)
    for step in range(3_000):
        slow.learn("", 0.1 * slow.limit, slow.limit, step * 0.1)
        quick.learn("", 0.1, quick.limit, step * 0.1)
    assert 4 <= slow.limit <= 6
    assert quick.limit >= int(24 * max(settings.probe_shares))
    assert quick.limit <= 24


class _Shifted(GradientLimiter):
    """The same limiter, told times that go on from `since`."""

    def __init__(self, limiter: GradientLimiter, since: float) -> None:
        self._inner, self._since = limiter, since

    @property
    def limit(self) -> int:
        return self._inner.limit

    def learn(self, kind: str, seconds: float, in_progress: int, now: float) -> None:
        self._inner.learn(kind, seconds, in_progress, self._since + now)
