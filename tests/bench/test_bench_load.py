"""The load generators: arrivals that no server can delay, and latencies that hide nothing."""

import asyncio
import heapq
import itertools
import math
import statistics
import time
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from bench.engine.load import Answered, LoadRun, closed_loop, open_loop, poisson

T = TypeVar("T")
_TURNS = 50  # of the event loop, in which tasks that can run do run


class VirtualTime:
    """A clock and its sleep. `overshoot`: seconds that every sleep takes longer than it was asked to."""

    def __init__(self, overshoot: float = 0.0) -> None:
        self._now = 0.0
        self._overshoot = overshoot
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def clock(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now + seconds + self._overshoot, next(self._order), woken))
        await woken

    async def run(self, work: Awaitable[T]) -> T:
        """Let time pass until `work` is done."""
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if self._waiting and not task.done():
                when, _, woken = heapq.heappop(self._waiting)
                if not woken.done():
                    self._now = max(self._now, when)
                    woken.set_result(None)
        return task.result()


def test_arrivals_are_a_poisson_process() -> None:
    """As many as the rate says; gaps exponential, their deviation like their mean, without correlation."""
    times = poisson(rate=50.0, seconds=400.0, seed=7)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert abs(len(times) - 20_000) < 5 * math.sqrt(20_000)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.03)
    assert abs(statistics.correlation(gaps[:-1], gaps[1:])) < 0.03
    beyond = sum(gap > 0.04 for gap in gaps) / len(gaps)
    assert beyond == pytest.approx(math.exp(-2.0), abs=0.01)


def test_the_same_seed_gives_the_same_arrivals() -> None:
    """Arms are sent the same schedule; another seed gives another."""
    assert poisson(3.0, 20.0, 5) == poisson(3.0, 20.0, 5) != poisson(3.0, 20.0, 6)


async def stalling_server(time: VirtualTime) -> LoadRun:
    """Check after check at 0.1 s, but for the first, which takes 10 s; one check is due each second."""
    turn = asyncio.Lock()
    first = True

    async def send() -> Answered:
        nonlocal first
        async with turn:
            seconds, first = (10.0 if first else 0.1), False
            await time.sleep(seconds)
        return Answered("answered")

    due = [float(second) for second in range(1, 9)]
    return await open_loop(send, due, 9.0, patience=60.0, clock=time.clock, sleep=time.sleep)


async def test_a_stall_is_charged_to_every_check_that_it_kept_waiting() -> None:
    """All eight are sent when due although none is answered, and each waited from then."""
    time = VirtualTime()
    run = await time.run(stalling_server(time))
    assert [sample.sent for sample in run.samples] == pytest.approx([1, 2, 3, 4, 5, 6, 7, 8])
    expected = [10.0] + [11.0 + 0.1 * number - (number + 1) for number in range(1, 8)]
    assert [sample.latency for sample in run.samples] == pytest.approx(expected)


async def test_a_generator_that_comes_late_counts_from_when_the_check_was_due() -> None:
    """Where the generator itself oversleeps by half a second, the latency holds that half second too."""
    time = VirtualTime(overshoot=0.5)

    async def send() -> Answered:
        return Answered("answered")

    run = await time.run(open_loop(send, [1.0, 4.0], 5.0, patience=60.0, clock=time.clock, sleep=time.sleep))
    assert [sample.sent - sample.due for sample in run.samples] == pytest.approx([0.5, 0.5])
    assert [sample.latency for sample in run.samples] == pytest.approx([0.5, 0.5])


async def test_a_check_without_an_answer_is_late_and_given_up() -> None:
    """It counts with the time that it was waited for, and the run says that the server still has it."""
    time = VirtualTime()

    async def send() -> Answered:
        await asyncio.Event().wait()
        return Answered("answered")

    run = await time.run(open_loop(send, [1.0], 2.0, patience=10.0, clock=time.clock, sleep=time.sleep))
    assert [(sample.answer.outcome, sample.latency) for sample in run.samples] == [("late", 10.0)]
    assert run.abandoned == 1


async def test_a_closed_loop_asks_with_so_many_at_once() -> None:
    """Never more and soon as many as there are clients; measured from when each has had an answer."""
    under_way, most = 0, 0

    async def send() -> Answered:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return Answered("answered")

    run = await closed_loop(send, 5, 0.05, run_up=1.0, drain=1.0, clock=time.monotonic)
    assert most == 5
    assert run.start <= run.end
    assert run.abandoned == 0
    assert 0 < len(run.measured) < len(run.samples)


async def test_a_closed_loop_is_measured_until_there_is_enough() -> None:
    """A window in which too little was answered is drawn out; to three times its length and no more."""

    async def send() -> Answered:
        await asyncio.sleep(0)
        return Answered("answered")

    short = await closed_loop(send, 1, 0.01, run_up=1.0, drain=1.0, clock=time.monotonic)
    drawn_out = await closed_loop(send, 1, 0.01, run_up=1.0, drain=1.0, clock=time.monotonic, enough=10**9)
    assert short.end - short.start < drawn_out.end - drawn_out.start
    assert drawn_out.end - drawn_out.start >= 0.03


async def test_a_closed_loop_does_not_wait_for_ever() -> None:
    """Requests that never end are cut off after the drain, and counted."""

    async def send() -> Answered:
        await asyncio.Event().wait()
        return Answered("answered")

    run = await closed_loop(send, 3, 0.01, run_up=0.01, drain=0.01, clock=time.monotonic)
    assert run.abandoned == 3
    assert run.measured == []
