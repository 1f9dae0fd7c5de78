"""Lets checks in: by tenant, by memory, by what pods can carry; keeps a short queue, and says no at once."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Protocol

from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.admission.concurrency import GradientLimiter, LimiterSettings
from ostiary_gateway.admission.durations import Durations
from ostiary_gateway.admission.memory import MemoryGauge, Pressure
from ostiary_gateway.admission.rates import Meter, Quotas

MIB = 1024 * 1024
_SOONEST = 0.1  # seconds: nobody is told to come back sooner
# Who waits expects a place within this share of his patience: pods take longer now and then.
_EXPECTED = 0.6


class Priority(IntEnum):
    """Who goes first."""

    PRE_PUBLISH = 0
    BULK = 1


class Slot:
    """A check's place."""

    def __init__(self, size: int, resized: Callable[[int], None], clock: Callable[[], float]) -> None:
        self._size = size
        self._resized = resized
        self._clock = clock
        self._kind = ""
        self._begun: float | None = None

    @property
    def size(self) -> int:
        """Bytes that the check holds."""
        return self._size

    def resize(self, size: int) -> None:
        """The check turned out to hold so many bytes."""
        by, self._size = size - self._size, size
        self._resized(by)

    def begin(self, kind: str) -> None:
        """All of the request is here; from now on it takes the gateway's and the pods' time alone.

        `kind`: checks of one kind take about the same time.
        """
        self._kind, self._begun = kind, self._clock()

    def forget(self) -> None:
        """How long it took says nothing: it was answered from the record, or failed."""
        self._begun = None

    def took(self) -> tuple[str, float] | None:
        """The kind, and the seconds since it began; None where these say nothing."""
        return None if self._begun is None else (self._kind, self._clock() - self._begun)


class Admission(Protocol):
    """Keeps the gateway from taking on more than it can finish."""

    def enter(
        self,
        principal: Principal,
        size: int,
        remaining: float | None,
        priority: Priority = Priority.PRE_PUBLISH,
    ) -> AbstractAsyncContextManager[Slot]:
        """A place for one check; leaving the context gives it back.

        Args:
            principal: who asks.
            size: bytes that the check will hold in memory, as far as is known.
            remaining: seconds to its deadline; None: it has none.
            priority: whom it goes before.

        Raises:
            OstiaryError: on entering. OVERLOADED, RATE_LIMITED or QUOTA_EXHAUSTED, with a time to retry
                after; DEADLINE_EXPIRED where the deadline leaves no time to look; PERMISSION_DENIED where
                the caller belongs to no tenant.
        """
        ...


@dataclass(frozen=True)
class AdmissionLimits:
    """How much is taken on at once."""

    concurrency: LimiterSettings = LimiterSettings()  # noqa: RUF009  # frozen
    """Checks in progress: how the limit is found."""
    max_bytes: int = 256 * MIB
    """Bytes of request that they hold together."""
    max_wait: float = 0.25
    """Longest time that a check waits for its place, in seconds; one that would wait longer is refused."""
    min_seconds: float = 0.1
    """A deadline nearer than this leaves no time to look at an image."""
    quotas: Quotas = Quotas()  # noqa: RUF009  # frozen
    """What tenants may ask for."""


@dataclass(order=True)
class _Waiting:
    """Somebody who was let wait, in the order of the queue.

    `limit`: as it was then. It holds for who counted on it, though it may have fallen.
    """

    priority: Priority
    number: int
    size: int = field(compare=False)
    limit: int = field(compare=False)
    place: asyncio.Future[None] = field(compare=False)


class AdaptiveAdmission:
    """Admission for one event loop."""

    def __init__(
        self,
        limits: AdmissionLimits,
        memory: MemoryGauge | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        refused: Callable[[Reason], None] = lambda reason: None,
    ) -> None:
        """`refused` is told of every refusal, to be counted."""
        self._limits = limits
        self._memory = memory
        self._clock = clock
        self._now = now
        self._refused = refused
        self._limiter = GradientLimiter(limits.concurrency, clock())
        self._meter = Meter(limits.quotas)
        self._queue: list[_Waiting] = []
        self._numbers = itertools.count()
        self._taken: dict[int, float] = {}  # when each check in progress got its place
        self._bytes = 0
        self._durations = Durations()

    @property
    def limit(self) -> int:
        """Checks that may be in progress now."""
        return self._limiter.limit

    @property
    def in_progress(self) -> int:
        """Checks in progress."""
        return len(self._taken)

    @property
    def waiting(self) -> int:
        """Checks that wait for a place."""
        return len(self._queue)

    @asynccontextmanager
    async def enter(
        self,
        principal: Principal,
        size: int,
        remaining: float | None,
        priority: Priority = Priority.PRE_PUBLISH,
    ) -> AsyncIterator[Slot]:
        """See `Admission.enter`."""
        try:
            self._refuse(principal, remaining, priority)
            place = await self._place(size, remaining, priority)
        except OstiaryError as error:
            self._refused(error.reason)
            raise
        slot = Slot(size, self._resize, self._clock)
        try:
            yield slot
        except BaseException:
            slot.forget()
            raise
        finally:
            self._leave(slot, place)

    def _refuse(self, principal: Principal, remaining: float | None, priority: Priority) -> None:
        if not principal.tenant:
            raise OstiaryError(
                Reason.PERMISSION_DENIED,
                f"{principal.id} belongs to no tenant, and a check needs one: name it in the gateway's roles",
            )
        if remaining is not None and remaining < self._limits.min_seconds:
            raise OstiaryError(
                Reason.DEADLINE_EXPIRED,
                f"The deadline leaves {remaining:.3f} s, too little to look at an image: allow some seconds",
            )
        pressure = self._memory.pressure(self._clock()) if self._memory else Pressure.NONE
        if pressure is Pressure.ALL or (pressure is Pressure.BULK and priority is Priority.BULK):
            raise OstiaryError(
                Reason.OVERLOADED, "The gateway is short of memory: try again later", retry_after=1.0
            )
        over = self._meter.take(principal.tenant, self._clock(), self._now())
        if over is not None:
            reason = Reason.QUOTA_EXHAUSTED if over.of_day else Reason.RATE_LIMITED
            what = "checks of today" if over.of_day else "checks of this second"
            raise OstiaryError(
                reason,
                f"The tenant {principal.tenant} has used up its {what}: try again later",
                retry_after=max(_SOONEST, over.retry_after),
            )

    async def _place(self, size: int, remaining: float | None, priority: Priority) -> int:
        """The number of the place that was got."""
        number = next(self._numbers)
        if not self._queue and self._fits(size, self._limiter.limit):
            self._take(number, size)
            return number
        before = sum(waiting.priority <= priority for waiting in self._queue)
        patience = self._limits.max_wait
        if remaining is not None:
            patience = min(patience, remaining - self._durations.mean)
        # To be sent away after a wait is worse than at once.
        if len(self._queue) >= self._limiter.limit or not self._gets_in(before, patience):
            raise self._overloaded(before)
        waiting = _Waiting(
            priority, number, size, self._limiter.limit, asyncio.get_running_loop().create_future()
        )
        heapq.heappush(self._queue, waiting)
        try:
            async with asyncio.timeout(patience):
                await waiting.place
        except (TimeoutError, asyncio.CancelledError) as error:
            self._withdraw(waiting)
            if isinstance(error, TimeoutError):
                raise self._overloaded(before) from None
            raise
        return number

    def _withdraw(self, waiting: _Waiting) -> None:
        """Take somebody out of the queue; a place given in the very moment of leaving goes to the next."""
        if waiting in self._queue:
            self._queue.remove(waiting)
            heapq.heapify(self._queue)
            self._let_in()
        else:
            self._give_back(waiting.number, waiting.size)

    def _fits(self, size: int, limit: int) -> bool:
        # A check that is larger than the limit on its own may run when it is alone.
        room = not self._taken or self._bytes + size <= self._limits.max_bytes
        return room and self.in_progress < limit

    def _take(self, number: int, size: int) -> None:
        self._taken[number] = self._clock()
        self._bytes += size

    def _give_back(self, number: int, size: int) -> None:
        del self._taken[number]
        self._bytes -= size
        self._let_in()

    def _let_in(self) -> None:
        """Give places to those who wait, the most urgent first."""
        while self._queue:
            waiting = self._queue[0]
            withdrawing = waiting.place.done()  # cancelled, and about to
            if withdrawing or not self._fits(waiting.size, max(waiting.limit, self._limiter.limit)):
                return
            heapq.heappop(self._queue)
            self._take(waiting.number, waiting.size)
            waiting.place.set_result(None)

    def _resize(self, by: int) -> None:
        self._bytes += by
        if by < 0:
            self._let_in()

    def _leave(self, slot: Slot, number: int) -> None:
        if took := slot.took():
            kind, seconds = took
            self._durations.add(self._clock() - self._taken[number])
            self._limiter.learn(kind, seconds, self.in_progress, self._clock())
        self._give_back(number, slot.size)

    def _gets_in(self, before: int, patience: float) -> bool:
        """Whether somebody who is patient for so many seconds gets a place, with so many `before` him."""
        if self._expected_wait(before) > patience:
            return False
        if not self._durations.mean:
            return True  # nothing has ended yet: who waits finds out
        # Places beyond the limit, where it has fallen, are not given again.
        surplus = max(0, self.in_progress - self._limiter.limit)
        now = self._clock()
        ages = (now - since for since in self._taken.values())
        return self._durations.ending(ages, _EXPECTED * patience) >= before + 1 + surplus

    def _expected_wait(self, before: int) -> float:
        """Seconds until a place is free for somebody with so many `before` him, where checks end evenly."""
        return (before + 1) * self._durations.mean / self._limiter.limit

    def _overloaded(self, before: int) -> OstiaryError:
        return OstiaryError(
            Reason.OVERLOADED,
            f"{self.in_progress} checks are in progress, all that this gateway takes now: try again later",
            retry_after=max(_SOONEST, self._expected_wait(before), self._durations.mean),
        )
