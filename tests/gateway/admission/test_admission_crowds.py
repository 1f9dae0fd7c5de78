"""More callers than pods can serve, in virtual time: who gets in, and how soon the others hear."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import pytest

import virtual_time
from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError
from ostiary.wire.identity import SpiffeId
from ostiary_gateway.admission import AdaptiveAdmission, AdmissionLimits

PIPELINE = Principal(SpiffeId("a.test", "/tenant/t/role/pipeline"), "pipeline", "t")
_SLOTS, _SECONDS = 25, 0.5
_SETTLED, _ENDS = 10.0, 70.0


Look = Callable[[random.Random], float]
"""Seconds that a look takes."""


def about(share: float) -> Look:
    """Half a second, or by up to so large a share longer."""
    return lambda rng: _SECONDS * (1 + share * rng.random())


@dataclass
class Crowd:
    """Calls come at their own times to a pod that looks at 25 images at once.

    `answered`, `refused`: seconds that the calls took, once the limit had settled.
    """

    per_second: float
    look: Look
    rng: random.Random = field(default_factory=lambda: random.Random(3))
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        door = AdaptiveAdmission(AdmissionLimits(), clock=loop.time)
        pod = asyncio.Semaphore(_SLOTS)
        async with asyncio.TaskGroup() as group:
            while loop.time() < _ENDS:
                await asyncio.sleep(self.rng.expovariate(self.per_second))
                group.create_task(self._call(door, pod))

    async def _call(self, door: AdaptiveAdmission, pod: asyncio.Semaphore) -> None:
        loop = asyncio.get_running_loop()
        began, told = loop.time(), self.answered
        try:
            async with door.enter(PIPELINE, 100, None) as slot:
                slot.begin("check")
                async with pod:
                    await asyncio.sleep(self.look(self.rng))
        except OstiaryError:
            told = self.refused
        if began > _SETTLED:
            told.append(loop.time() - began)


@pytest.mark.parametrize(
    ("per_second", "most_in_vain"),
    [
        pytest.param(500.0, 0.003, id="ten times"),
        pytest.param(100.0, 0.01, id="twice"),
        pytest.param(60.0, 0.01, id="a fifth more"),
    ],
)
@pytest.mark.parametrize("jitter", [0.02, 0.2], ids=["in step", "apart"])
def test_those_who_do_not_get_in_hear_it_at_once(
    per_second: float, most_in_vain: float, jitter: float
) -> None:
    """Pods that look at many images at once free their places at once, too: who waits does so for as long as
    the batch takes, or in vain. Few do; the pod stays busy, and what is let in takes no more than a second.
    """
    crowd = Crowd(per_second, about(jitter))
    virtual_time.run(crowd.run())
    in_vain = sum(seconds > 0.05 for seconds in crowd.refused)
    assert in_vain < most_in_vain * len(crowd.refused)
    carried = _SLOTS / (_SECONDS * (1 + jitter / 2))
    assert len(crowd.answered) > 0.9 * carried * (_ENDS - _SETTLED)
    assert sorted(crowd.answered)[len(crowd.answered) * 99 // 100] < 1.2


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda rng: _SECONDS * rng.lognormvariate(-0.18, 0.6), id="log-normal"),
        pytest.param(lambda rng: rng.expovariate(1 / _SECONDS), id="exponential"),
        pytest.param(lambda rng: 0.2 if rng.random() < 0.8 else 1.7, id="short and long"),
    ],
)
@pytest.mark.parametrize("times", [1.2, 10.0], ids=["a fifth more", "ten times"])
def test_pods_stay_busy_though_their_times_scatter(look: Look, times: float) -> None:
    """That some looks take much longer than others is not taken for a queue: the pod does what it can."""
    crowd = Crowd(times * _SLOTS / _SECONDS, look)
    virtual_time.run(crowd.run())
    assert len(crowd.answered) > 0.88 * _SLOTS / _SECONDS * (_ENDS - _SETTLED)
    assert median(crowd.answered) < 2.0
