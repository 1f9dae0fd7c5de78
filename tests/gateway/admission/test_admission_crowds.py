"""More callers than pods can serve, in virtual time: who gets in, and how soon the others hear."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest

import virtual_time
from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError
from ostiary.wire.identity import SpiffeId
from ostiary_gateway.admission import AdaptiveAdmission, AdmissionLimits

PIPELINE = Principal(SpiffeId("a.test", "/tenant/t/role/pipeline"), "pipeline", "t")
_SLOTS, _SECONDS = 25, 0.5
_SETTLED, _ENDS = 10.0, 70.0


@dataclass
class Crowd:
    """Calls come at their own times to a pod that looks at 25 images at once, half a second over each.

    `answered`, `refused`: seconds that the calls took, once the limit had settled.
    """

    per_second: float
    jitter: float = 0.02
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
                    await asyncio.sleep(_SECONDS * (1 + self.jitter * self.rng.random()))
        except OstiaryError:
            told = self.refused
        if began > _SETTLED:
            told.append(loop.time() - began)


@pytest.mark.parametrize(
    ("per_second", "most_in_vain"),
    [
        pytest.param(500.0, 0.01, id="ten times"),
        pytest.param(100.0, 0.1, id="twice"),
        pytest.param(60.0, 0.2, id="a fifth more"),
    ],
)
@pytest.mark.parametrize("jitter", [0.02, 0.2], ids=["in step", "apart"])
def test_those_who_do_not_get_in_hear_it_at_once(
    per_second: float, most_in_vain: float, jitter: float
) -> None:
    """Pods that look at many images at once free their places at once, too: who waits does so for as long as
    the batch takes, or in vain. Few do; the pod stays busy, and what is let in takes no more than a second.
    """
    crowd = Crowd(per_second, jitter)
    virtual_time.run(crowd.run())
    in_vain = sum(seconds > 0.05 for seconds in crowd.refused)
    assert in_vain < most_in_vain * len(crowd.refused)
    carried = _SLOTS / (_SECONDS * (1 + jitter / 2))
    assert len(crowd.answered) > 0.9 * carried * (_ENDS - _SETTLED)
    assert sorted(crowd.answered)[len(crowd.answered) * 99 // 100] < 1.2
