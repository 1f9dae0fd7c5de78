"""Who is looked at when."""

import asyncio
from contextlib import AsyncExitStack
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_moderation.turns import Turn, TurnLimits, Turns


async def soon(task: "asyncio.Task[object]") -> bool:
    """Whether a task is done once every other had its say."""
    for _ in range(5):
        await asyncio.sleep(0)
    return task.done()


def enter(turns: Turns, stack: AsyncExitStack) -> "asyncio.Task[Turn]":
    """Start waiting for a turn, which lasts as long as the stack."""
    return asyncio.create_task(stack.enter_async_context(turns.turn()))


async def test_turns_go_in_order() -> None:
    """So many at once, the others in the order in which they came; more than may wait are refused."""
    turns = Turns(TurnLimits(max_in_flight=1, max_queued=2))
    async with AsyncExitStack() as first, AsyncExitStack() as second, AsyncExitStack() as third:
        await enter(turns, first)
        waiting = [enter(turns, second), enter(turns, third)]
        assert not await soon(waiting[0])
        assert (turns.in_flight, turns.queued) == (1, 2)
        with pytest.raises(OstiaryError, match="2 checks wait already") as refused:
            async with turns.turn():
                pass
        assert (refused.value.reason, refused.value.retry_after) == (Reason.OVERLOADED, 1.0)
        await first.aclose()
        assert (await soon(waiting[0]), await soon(waiting[1])) == (True, False)
        await second.aclose()
        assert await soon(waiting[1])
    assert (turns.in_flight, turns.queued) == (0, 0)


async def test_one_that_goes_away_leaves_the_line() -> None:
    """Whoever is cancelled while waiting, or in the moment of getting the turn, keeps nobody back."""
    turns = Turns(TurnLimits(max_in_flight=1))
    async with AsyncExitStack() as first, AsyncExitStack() as gone, AsyncExitStack() as late:
        await enter(turns, first)
        waiting, unlucky, last = enter(turns, gone), enter(turns, gone), enter(turns, late)
        await soon(last)
        waiting.cancel()
        assert await soon(waiting)
        assert turns.queued == 2
        await first.aclose()
        unlucky.cancel()
        assert await soon(last)
    assert (turns.in_flight, turns.queued, turns.bytes_held) == (0, 0, 0)


async def test_memory_is_shared_in_order() -> None:
    """What does not fit waits until it does, and one who wants less does not overtake."""
    turns = Turns(TurnLimits(max_bytes=100))
    async with turns.turn() as old, turns.turn() as young, turns.turn() as youngest:
        for turn in (old, young, youngest):
            turn.begin(10)
        await old.take(60)
        big, small = asyncio.create_task(young.take(40)), asyncio.create_task(youngest.take(5))
        assert (await soon(big), await soon(small)) == (False, False)
        assert turns.bytes_held == 90
        old.give_back(60)
        assert (await soon(big), await soon(small)) == (True, True)
        assert turns.bytes_held == 75


async def test_the_oldest_always_fits() -> None:
    """One check may hold more than the limit; nobody else is let in beside it, and it never waits."""
    turns = Turns(TurnLimits(max_bytes=100))
    async with AsyncExitStack() as stack:
        other = None
        async with turns.turn() as oldest:
            oldest.begin(500)
            await oldest.take(500)
            other = enter(turns, stack)
            assert not await soon(other)
            assert turns.queued == 1
        assert await soon(other)
        assert turns.bytes_held == 0


async def test_a_turn_that_is_over_waits_for_nothing() -> None:
    """An image still at the decoder when its caller goes away is read and dropped: it keeps no decoder."""
    turns = Turns(TurnLimits(max_bytes=100))
    async with turns.turn() as oldest, AsyncExitStack() as stack:
        oldest.begin(90)
        young = await enter(turns, stack)
        young.begin(5)
        taking = asyncio.create_task(young.take(50))
        assert not await soon(taking)
        await stack.aclose()
        assert await soon(taking)
        await young.take(50)
        assert turns.bytes_held == 90


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.lists(st.integers(0, 150), max_size=4), min_size=1, max_size=12),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_everyone_is_served(checks: list[list[int]], at_once: int, random: Random) -> None:
    """Whatever checks bring and take, all end, none holds memory afterwards, and the limit holds for all but
    the oldest.
    """
    asyncio.run(serve(checks, at_once, random))


async def serve(checks: list[list[int]], at_once: int, random: Random) -> None:
    turns = Turns(TurnLimits(max_in_flight=at_once, max_queued=len(checks), max_bytes=100))
    begun: list[Turn] = []

    async def look(sizes: list[int]) -> None:
        async with turns.turn() as turn:
            turn.begin(1)
            begun.append(turn)
            for size in sizes:
                await turn.take(size)
                assert turns.bytes_held - begun[0].held <= 100 + at_once
                for _ in range(random.randrange(4)):
                    await asyncio.sleep(0)
            begun.remove(turn)

    async with asyncio.timeout(10):
        await asyncio.gather(*map(look, checks))
    assert (turns.in_flight, turns.queued, turns.bytes_held) == (0, 0, 0)
