"""Runs controllers: each object that changed is looked at again until nothing more is to be done."""

import asyncio
import heapq
from collections.abc import Iterable
from typing import Protocol

import structlog

from ostiary_operator.sandbox.api.status import ApiError
from ostiary_operator.sandbox.api.store import Bucket, Event, Key, RacedError, Store
from ostiary_operator.sandbox.clock import Clock, VirtualClock

_TRIES = 5
_PATIENCE = 1.0
"""Seconds after which what failed is tried again."""

log = structlog.get_logger(__name__)


class Controller(Protocol):
    """Brings what is to what shall be, one key at a time."""

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """Which keys a change makes worth looking at."""
        ...

    async def reconcile(self, key: Key) -> float | None:
        """Looks at one; seconds after which to look again unasked, or None."""
        ...


class Manager:
    """The queue of all controllers."""

    def __init__(self, store: Store, clock: Clock, controllers: Iterable[Controller]) -> None:
        self._clock = clock
        self._controllers = list(controllers)
        self._queue: dict[tuple[int, Key], int] = {}
        self._timers: list[tuple[float, int, Key]] = []
        self._due: dict[tuple[int, Key], float] = {}
        self._news = asyncio.Event()
        self._busy = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._paused = False
        for bucket in store.buckets():
            for key, stored in store.items(bucket):
                self._hear(bucket, Event(stored.revision, "ADDED", key, stored, None))
        self._stop = store.listen_to_all(self._hear)

    def start(self) -> None:
        """Works in the background from now on."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Works no longer."""
        self._stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def pause(self) -> None:
        """Holds all work, as controllers do that have lost their server."""
        self._paused = True

    def resume(self) -> None:
        """Goes on with the work."""
        self._paused = False
        self._news.set()

    def _hear(self, bucket: Bucket, event: Event) -> None:
        for index, controller in enumerate(self._controllers):
            for key in controller.concerned(bucket, event):
                self._queue.setdefault((index, key), 0)
        self._news.set()

    def _again(self, item: tuple[int, Key], seconds: float) -> None:
        due = self._clock.now() + seconds
        if self._due.get(item, float("inf")) > due:
            self._due[item] = due
            heapq.heappush(self._timers, (due, *item))

    def _fire(self) -> None:
        now = self._clock.now()
        while self._timers and self._timers[0][0] <= now:
            due, index, key = heapq.heappop(self._timers)
            if self._due.get((index, key)) == due:
                del self._due[(index, key)]
                self._queue.setdefault((index, key), 0)

    async def settle(self) -> None:
        """Works until nothing is due any more."""
        async with self._busy:
            self._fire()
            while self._queue and not self._paused:
                item = next(iter(self._queue))
                tries = self._queue.pop(item)
                await self._work(item, tries)
                self._fire()

    async def _work(self, item: tuple[int, Key], tries: int) -> None:
        index, key = item
        controller = self._controllers[index]
        try:
            after = await controller.reconcile(key)
        except (ApiError, RacedError) as error:
            if tries < _TRIES and (isinstance(error, RacedError) or error.reason == "Conflict"):
                self._queue[item] = tries + 1
            else:
                log.debug(
                    "tried again later", controller=type(controller).__name__, key=key, error=str(error)
                )
                self._again(item, _PATIENCE)
            return
        if after is not None:
            self._again(item, max(after, 0.001))

    async def advance(self, seconds: float) -> None:
        """Turns a virtual clock, doing on the way what becomes due."""
        if not isinstance(self._clock, VirtualClock):
            raise TypeError("only a virtual clock can be turned")
        end = self._clock.now() + seconds
        await self.settle()
        while self._timers and self._timers[0][0] <= end:
            self._clock.turn_to(self._timers[0][0])
            await self.settle()
        self._clock.turn_to(end)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            await self.settle()
            wait = None
            if self._timers and not isinstance(self._clock, VirtualClock):
                wait = max(self._timers[0][0] - self._clock.now(), 0.0)
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                continue
