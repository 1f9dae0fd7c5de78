"""Leading, on a clock that tests move: what is told of it, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ostiary_operator.cluster.api import NotFound
from ostiary_operator.cluster.leader import Leader, LeaderTimes

Json = dict[str, Any]
TIMES = LeaderTimes(holds=15.0, acts=9.0, renews=0.01)


class Leases:
    """An API server with one Lease, whose answers take as long as they are told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slow = 0.0
        self.lease: Json | None = None
        self.version = 0

    async def get(self, *_: object) -> Json:
        if self.lease is None:
            raise NotFound(404, "no Lease")
        return self.lease

    async def create(self, _: object, lease: Json) -> Json:
        return await self.replace(_, lease)

    async def replace(self, _: object, lease: Json) -> Json:
        self.now += self.slow
        self.version += 1
        metadata = {**lease["metadata"], "resourceVersion": str(self.version)}
        self.lease = {**lease, "metadata": metadata}
        return self.lease


@pytest.mark.parametrize(
    ("slow", "told"), [(2.0, [True]), (9.5, [True, False])], ids=["in time", "too late to act on"]
)
async def test_what_is_told(slow: float, told: list[bool]) -> None:
    """A renewal counts from when it was asked for."""
    leases, said = Leases(), list[bool]()
    leader = Leader(leases, "default", "me", said.append, TIMES, lambda: leases.now)  # type: ignore[arg-type]
    async with running(leader):
        await until(lambda: leader.leading)
        leases.slow = slow
        await until(lambda: leases.version > 3)
        assert said == told


async def test_a_gap_is_told_though_it_is_over() -> None:
    """Between two renewals it was too long: what was due then was put off, and has to be looked at again."""
    leases, said = Leases(), list[bool]()
    leader = Leader(leases, "default", "me", said.append, TIMES, lambda: leases.now)  # type: ignore[arg-type]
    async with running(leader):
        await until(lambda: leader.leading)
        leases.now += 10.0
        assert not leader.leading
        await until(lambda: leader.leading)
        assert said == [True, False, True]


@asynccontextmanager
async def running(leader: Leader) -> AsyncIterator[None]:
    """The leader at work."""
    task = asyncio.create_task(leader.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 # the leader tells only some of it
            await asyncio.sleep(0.005)
