"""Who is let in, who waits, and who is sent away."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import SpiffeId
from ostiary_gateway.admission import AdaptiveAdmission, AdmissionLimits, Priority
from ostiary_gateway.admission.concurrency import LimiterSettings
from ostiary_gateway.admission.memory import MemoryGauge
from ostiary_gateway.admission.rates import Quotas, TenantLimits

PIPELINE = Principal(SpiffeId("a.test", "/tenant/t/role/pipeline"), "pipeline", "t")


def admission(
    most: int = 2, *, max_wait: float = 0.0, memory: MemoryGauge | None = None, **more
) -> AdaptiveAdmission:
    fixed = LimiterSettings(initial=most, least=most, most=most)
    return AdaptiveAdmission(AdmissionLimits(fixed, max_wait=max_wait, **more), memory)


async def refused(
    door: AdaptiveAdmission, size: int = 1, remaining: float | None = None, **more
) -> OstiaryError:
    with pytest.raises(OstiaryError) as caught:
        async with door.enter(PIPELINE, size, remaining, **more):
            pass
    return caught.value


async def test_places_are_given_back() -> None:
    """The third of two is told to come back; when one leaves, another may enter."""
    door = admission(2)
    async with door.enter(PIPELINE, 1, None):
        async with door.enter(PIPELINE, 1, None):
            error = await refused(door)
        assert error.reason is Reason.OVERLOADED
        assert error.retry_after is not None
        assert error.retry_after > 0
        async with door.enter(PIPELINE, 1, None):
            assert door.in_progress == 2
    assert door.in_progress == 0


async def test_a_failed_check_gives_its_place_back() -> None:
    """Errors do not leak places."""
    door = admission(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with door.enter(PIPELINE, 1, None):
                raise ZeroDivisionError


async def test_bytes_are_counted() -> None:
    """Few large checks fill the gateway as many small ones do; a very large one runs alone."""
    door = admission(9, max_bytes=100)
    async with door.enter(PIPELINE, 500, None):
        assert "in progress" in (await refused(door)).message
    async with door.enter(PIPELINE, 60, None), door.enter(PIPELINE, 40, None):
        assert door.in_progress == 2


async def test_a_check_that_turns_out_smaller_makes_room() -> None:
    """What is set aside for the longest request is given back when its length is known."""
    door = admission(9, max_bytes=100, max_wait=5.0)
    async with AsyncExitStack() as stack:
        slot = await stack.enter_async_context(door.enter(PIPELINE, 80, None))
        second = asyncio.ensure_future(stack.enter_async_context(door.enter(PIPELINE, 80, None)))
        await asyncio.sleep(0)
        assert (door.in_progress, door.waiting) == (1, 1)
        slot.resize(10)
        await second
        assert (door.in_progress, door.waiting) == (2, 0)


async def test_those_who_wait_come_in_by_urgency_and_in_order() -> None:
    """Uploads before bulk work, the earlier before the later."""
    door, order = admission(1, max_wait=5.0), []

    async def check(name: str, priority: Priority) -> None:
        async with door.enter(PIPELINE, 1, None, priority):
            order.append(name)

    async with door.enter(PIPELINE, 1, None):
        tasks = []
        for name, priority in (
            ("bulk", Priority.BULK),
            ("first", Priority.PRE_PUBLISH),
        ):
            tasks.append(asyncio.create_task(check(name, priority)))
            await asyncio.sleep(0)
        assert door.waiting == 1  # a queue is no longer than what is let in at once
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["bulk"]
    assert isinstance(results[1], OstiaryError)

    door, order = admission(3, max_wait=5.0), []
    async with door.enter(PIPELINE, 1, None), door.enter(PIPELINE, 1, None), door.enter(PIPELINE, 1, None):
        tasks = []
        for name, priority in (
            ("bulk", Priority.BULK),
            ("first", Priority.PRE_PUBLISH),
            ("second", Priority.PRE_PUBLISH),
        ):
            tasks.append(asyncio.create_task(check(name, priority)))
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["first", "second", "bulk"]


async def test_who_waits_too_long_is_sent_away() -> None:
    """After the longest wait the caller hears when to come back, and leaves nothing behind."""
    door = admission(1, max_wait=0.02)
    async with door.enter(PIPELINE, 1, None):
        assert (await refused(door)).reason is Reason.OVERLOADED
        assert door.waiting == 0
    assert door.in_progress == 0


async def test_a_caller_that_leaves_while_waiting_leaves_nothing_behind() -> None:
    """Cancelled in the queue, or in the very moment in which its place was given: no place is lost."""
    door = admission(1, max_wait=5.0)

    async def check() -> None:
        async with door.enter(PIPELINE, 1, None):
            pass

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(door.enter(PIPELINE, 1, None))
        waiting = asyncio.create_task(check())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert door.waiting == 0
        given = asyncio.create_task(check())
        await asyncio.sleep(0)
    given.cancel()  # its place was given as the block above was left
    await asyncio.gather(given, return_exceptions=True)
    assert (door.in_progress, door.waiting) == (0, 0)
    async with door.enter(PIPELINE, 1, None):
        pass


async def test_a_deadline_that_cannot_be_kept_is_told_at_once() -> None:
    """Too near in any case, or too near for the queue and the look: nobody waits for nothing."""
    now = [0.0]
    fixed = LimiterSettings(initial=1, least=1, most=1)
    door = AdaptiveAdmission(AdmissionLimits(fixed, max_wait=5.0), clock=lambda: now[0])
    assert (await refused(door, remaining=0.05)).reason is Reason.DEADLINE_EXPIRED
    async with door.enter(PIPELINE, 1, None) as slot:
        slot.begin("")
        now[0] += 2.0
    async with door.enter(PIPELINE, 1, None):
        error = await refused(door, remaining=3.0)  # two seconds in the queue, two to look
        assert error.reason is Reason.OVERLOADED
        assert error.retry_after == pytest.approx(2.0)


async def test_a_caller_without_a_tenant() -> None:
    """A check belongs to a tenant."""
    stranger = Principal(SpiffeId("a.test", "/role/pipeline"), "pipeline", "")
    with pytest.raises(OstiaryError) as caught:
        async with admission().enter(stranger, 1, None):
            pass
    assert caught.value.reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (TenantLimits(per_second=1.0, burst=1), Reason.RATE_LIMITED),
        (TenantLimits(per_day=1), Reason.QUOTA_EXHAUSTED),
    ],
    ids=["rate", "quota"],
)
async def test_a_tenant_that_has_used_up_its_share(limits: TenantLimits, reason: Reason) -> None:
    """It hears which of its limits it has reached, and when to come back; refusals are counted."""
    told: list[Reason] = []
    door = AdaptiveAdmission(AdmissionLimits(quotas=Quotas(limits)), refused=told.append)
    async with door.enter(PIPELINE, 1, None):
        pass
    error = await refused(door)
    assert error.reason is reason
    assert error.retry_after is not None
    assert told == [reason]


@pytest.mark.parametrize(
    ("used", "bulk", "uploads"),
    [(80, True, True), (90, False, True), (96, False, False)],
    ids=["enough", "bulk is refused", "everything is"],
)
async def test_memory_that_runs_out(used: int, bulk: bool, uploads: bool) -> None:
    """Bulk work goes first, then everything: refused with a time, not killed."""
    door = admission(memory=MemoryGauge(100, lambda: used))
    for priority, let_in in ((Priority.BULK, bulk), (Priority.PRE_PUBLISH, uploads)):
        if let_in:
            async with door.enter(PIPELINE, 1, None, priority):
                pass
        else:
            assert "memory" in (await refused(door, priority=priority)).message
