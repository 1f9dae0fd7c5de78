"""Erases checks whose time is over, by the same path as everybody else, and under its own name."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.review.erasing import Eraser, Erasure
from ostiary_gateway.times import microseconds, utc_now

ACTOR = "ostiary"
_BATCH = 100
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Keep:
    """For how long checks are kept.

    Attributes:
        days: from the decision on; None: for good.
        verdicts: of these verdicts, as they stand; empty: of any.
        policies: decided under one of these, by name or as `name@version`; empty: any.
    """

    days: float | None
    verdicts: Sequence[int] = ()
    policies: Sequence[str] = ()


@dataclass(frozen=True)
class Due:
    """A check whose time is over, and which rule says so, by its place."""

    log_index: int
    tenant: str
    check_id: str
    rule: int


class DueCases(Protocol):
    """Finds checks whose time is over. Raises OstiaryError (STORE_UNAVAILABLE)."""

    async def due(self, keeps: Sequence[Keep], now_us: int, after: int, most: int) -> list[Due]:
        """Those behind an entry of the log, in its order; of each case the first rule that fits it holds.

        What is on legal hold is left out.
        """
        ...


class Retention:
    """Sweeps again and again. Whatever a crash leaves undone is due still, or has its tombstone."""

    def __init__(
        self,
        keeps: Sequence[Keep],
        cases: DueCases,
        eraser: Eraser,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`clock` gives aware times."""
        self._keeps = keeps
        self._cases = cases
        self._eraser = eraser
        self._clock = clock

    async def run(self, interval: float) -> None:
        """Sweep every so many seconds, until cancelled."""
        while True:
            try:
                if count := await self.sweep():
                    _log.info("retention erased checks", checks=count)
            except OstiaryError as error:
                _log.error("retention goes on later", error=error.message)
            await asyncio.sleep(interval)

    async def sweep(self) -> int:
        """Erase what is due; how many checks. Raises OstiaryError (STORE_UNAVAILABLE)."""
        now_us, after, count = microseconds(self._clock()), -1, 0
        while due := await self._cases.due(self._keeps, now_us, after, _BATCH):
            erasures = [erasure for each in due if (erasure := await self._entomb(each)) is not None]
            await self._eraser.finish(erasures)
            count, after = count + len(erasures), due[-1].log_index
        return count

    async def _entomb(self, due: Due) -> Erasure | None:
        days = self._keeps[due.rule].days
        reason = f"kept for {days:g} days, as retention[{due.rule}] says"
        try:
            tombstone = await self._eraser.entomb(due.tenant, due.check_id, ACTOR, reason)
        except OstiaryError as error:
            if error.reason is Reason.FAILED_PRECONDITION:
                return None  # a legal hold came in between
            raise
        return Erasure(due.tenant, due.check_id, tombstone.log_index)


def before_us(keep: Keep, now_us: int) -> int | None:
    """Decided before then, its time is over; None: it never is."""
    if keep.days is None:
        return None
    return now_us - round(timedelta(days=keep.days).total_seconds() * 1_000_000)
