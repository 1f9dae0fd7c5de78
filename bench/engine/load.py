"""Load generators. Closed loop: so many clients, each waiting for its answer before it asks again. Open loop:
arrivals that no answer delays, as from a market place's sellers.

In the open loop a latency counts from the time at which the check was due, not from when the generator came
to send it: a server that stalls is charged with all that it kept waiting (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["answered", "shed", "late", "failed"]
Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Answered:
    """What one request came to.

    `batch`: how many checks the server says it answered together. `pixels`: of the image that was sent.
    """

    outcome: Outcome
    batch: int | None = None
    detail: str = ""
    pixels: int = 0


_PAUSE = 0.05
Send = Callable[[], Awaitable[Answered]]


@dataclass(frozen=True)
class Sample:
    """One request. Times in seconds of the generator's clock; `due` is when it should have been sent."""

    due: float
    sent: float
    done: float
    answer: Answered

    @property
    def latency(self) -> float:
        """Seconds from when it was due."""
        return self.done - self.due


@dataclass
class LoadRun:
    """All samples of a run; `start` and `end` bound what is measured, the rest is run-up and drain."""

    samples: list[Sample] = field(default_factory=list)
    start: float = 0.0
    end: float = 0.0
    abandoned: int = 0
    """Requests that were cut off at the end: the server may still be working on them."""

    @property
    def measured(self) -> list[Sample]:
        """Samples that count."""
        return [sample for sample in self.samples if self.start < sample.done <= self.end]


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Due times of a Poisson process of `rate` a second over (0, seconds), the same for the same seed."""
    chance = random.Random(seed)
    times: list[float] = []
    now = chance.expovariate(rate)
    while now < seconds:
        times.append(now)
        now += chance.expovariate(rate)
    return times


async def closed_loop(
    send: Send,
    clients: int,
    seconds: float,
    *,
    run_up: float,
    drain: float,
    clock: Clock,
    enough: int = 0,
) -> LoadRun:
    """Ask with `clients` at once; measure `seconds`, from when every client has had one answer.

    The run-up lasts at most `run_up` seconds. With fewer than `enough` answers, it is measured for longer, at
    most three times as long. Requests under way at the end get `drain` seconds.
    """
    run = LoadRun()
    served: set[int] = set()
    all_served = asyncio.Event()
    over, plenty = asyncio.Event(), asyncio.Event()
    wanted = sys.maxsize

    async def client(number: int) -> None:
        while not over.is_set():
            sent = clock()
            answer = await send()
            run.samples.append(Sample(sent, sent, clock(), answer))
            served.add(number)
            if len(served) == clients:
                all_served.set()
            if len(run.samples) >= wanted:
                plenty.set()
            if answer.outcome != "answered":
                # A refusal comes at once: without a pause the client would ask thousands of times a second.
                await asyncio.sleep(_PAUSE)

    tasks = [asyncio.create_task(client(number)) for number in range(clients)]
    await _at_most(run_up, all_served.wait())
    run.start = run.samples[-1].done if run.samples else clock()
    wanted = len(run.samples) + enough
    await _at_most(max(0.0, run.start + seconds - clock()), _failure(tasks))
    if len(run.samples) < wanted:
        await _at_most(max(0.0, run.start + 3 * seconds - clock()), plenty.wait())
    run.end = clock()
    over.set()
    _, pending = await asyncio.wait(tasks, timeout=drain)
    run.abandoned = len(pending)
    await _cancel(pending)
    return run


async def open_loop(
    send: Send, due: Sequence[float], seconds: float, *, patience: float, clock: Clock, sleep: Sleep
) -> LoadRun:
    """Send at the due times (seconds from the start), whatever has been answered by then.

    A request without an answer `patience` seconds after it was due is late, and given up.
    """
    run = LoadRun(start=clock())
    tasks = []

    async def one(when: float) -> None:
        sent = clock()
        waiting = asyncio.ensure_future(send())
        giving_up = asyncio.ensure_future(sleep(max(0.0, when + patience - sent)))
        await asyncio.wait({waiting, giving_up}, return_when=asyncio.FIRST_COMPLETED)
        giving_up.cancel()
        if waiting.done():
            answer = waiting.result()
        else:
            await _cancel({waiting})
            run.abandoned += 1
            answer = Answered("late")
        run.samples.append(Sample(when, sent, clock(), answer))

    for offset in due:
        when = run.start + offset
        if (ahead := when - clock()) > 0:
            await sleep(ahead)
        tasks.append(asyncio.create_task(one(when)))
    await asyncio.gather(*tasks)
    run.end = max([run.start + seconds, *(sample.done for sample in run.samples)])
    return run


async def _at_most(seconds: float, waiting: Awaitable[object]) -> None:
    task = asyncio.ensure_future(waiting)
    await asyncio.wait({task}, timeout=seconds)
    await _cancel({task})


async def _failure(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Return when a client has died, which none should."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)


async def _cancel(tasks: Collection[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
