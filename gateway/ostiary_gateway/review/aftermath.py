"""What follows from settled cases: allow-lists, similar cases decided anew, examples for calibration.

The ruling is on record by then, and is the truth: what fails here is said, and made good at the next start.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime

import structlog

from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_HOLD, VERDICT_REVIEW
from ostiary.v1.record_pb2 import EventRecord, EventRedecision
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.case_log import CaseLog, OvertakenError
from ostiary_gateway.list_source import FolderListSource
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.policy_source import PolicySource
from ostiary_gateway.replay import replay
from ostiary_gateway.review import overturned
from ostiary_gateway.review import standing as kinds
from ostiary_gateway.review.cases import Cases, Line, Search, Settled, Settlements
from ostiary_gateway.review.erasing import Erasure
from ostiary_gateway.review.examples import ExampleFolder
from ostiary_gateway.review.overturned import Allowance
from ostiary_gateway.review.similar import similar, untouched
from ostiary_gateway.times import microseconds, utc_now

LOG = structlog.get_logger("ostiary.review")
_LOOKED_AT = 1_000  # of a seller's cases, the newest, for similar ones
_PAGE = 200
_RECENT_US = 86_400_000_000


class OverturnAftermath:
    """The `Aftermath` of a gateway. `run` does what reviewers need not wait for. For one event loop."""

    def __init__(
        self,
        cases: Cases,
        settlements: Settlements,
        log: CaseLog,
        policies: PolicySource,
        lists: FolderListSource | None,
        examples: ExampleFolder | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`lists` is None where the gateway has no folder of them: then nothing is allowed in advance.

        `examples` is where examples for calibration are added to; None: they are not kept.
        """
        self._cases = cases
        self._settlements = settlements
        self._log = log
        self._policies = policies
        self._lists = lists
        self._examples = examples
        self._clock = clock
        self._todo: asyncio.Queue[Settled] = asyncio.Queue()

    async def follow(self, settled: Sequence[Settled]) -> None:
        """See `Aftermath.follow`: lists are written before the reviewer is answered."""
        if self._lists is not None:
            await asyncio.to_thread(self._put_lists, self._lists, settled)
        for each in settled:
            self._todo.put_nowait(each)

    async def run(self) -> None:
        """Make good what an earlier process left, then do what comes, until cancelled."""
        await self._attempt("what followed from earlier rulings", self._restore())
        while True:
            settled = await self._todo.get()
            await self._attempt("what follows from a ruling", self._finish(settled))
            self._todo.task_done()

    async def settle(self) -> None:
        """Wait until everything that has come is done."""
        await self._todo.join()

    async def forget(self, erasure: Erasure) -> None:
        """Take a check that is erased off allow-lists and out of the examples.

        Raises OstiaryError (STORE_UNAVAILABLE).
        """
        try:
            if self._lists is not None:
                await asyncio.to_thread(self._take_off_lists, self._lists, erasure)
            if self._examples is not None:
                await self._examples.remove(erasure.check_id)
        except (OSError, ValueError) as error:
            LOG.error("lists and examples still name a check", check_id=erasure.check_id, error=str(error))
            words = "a list or an example of the check cannot be written: see the gateway's log"
            raise OstiaryError(Reason.STORE_UNAVAILABLE, words) from error

    def _take_off_lists(self, lists: FolderListSource, erasure: Erasure) -> None:
        forgetting = overturned.forgetting(erasure.check_id, str(erasure.log_index))
        for name in [name for name in lists.lists().by_name if overturned.is_of_overturns(name)]:
            lists.amend(name, forgetting)

    async def _attempt(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # whatever it was, the ruling stands
            LOG.error("a ruling's aftermath failed", what=what, error=str(error))

    async def _restore(self) -> None:
        """Do again what follows from overturns on record: a crash may have come in between."""
        now_us = microseconds(self._clock())
        standing = await self._settlements.overturned(now_us)
        if self._lists is not None:
            await asyncio.to_thread(self._put_lists, self._lists, standing)
        for each in standing:
            if each.event.record.at.ToMicroseconds() > now_us - _RECENT_US:
                await self._redecide(each)

    def _put_lists(self, lists: FolderListSource, settled: Sequence[Settled]) -> None:
        """Each list is written once, however many cases it is about; later rulings come last."""
        now = self._clock()
        granted: dict[str, list[Allowance]] = {}
        for each in settled:
            if each.overturned and (until := each.event.record.ruling.allow_until.ToDatetime(UTC)) > now:
                for allowance in overturned.allowances(each.line.record, until):
                    granted.setdefault(allowance.list, []).append(allowance)
        version = str(max((each.event.log_index for each in settled), default=0))
        for name, allowed in granted.items():
            _amend(lists, name, overturned.granting(allowed, version, now))
        against = {each.line.record.check_id for each in settled if _ends_allowance(each)}
        for name in [each for each in lists.lists().by_name if against and overturned.is_of_overturns(each)]:
            _amend(lists, name, overturned.withdrawing(against, version, now))

    async def _finish(self, settled: Settled) -> None:
        if settled.overturned:
            await self._redecide(settled)
        if self._examples is not None:
            await self._examples.add(settled.line.record, settled.event.record)

    async def _redecide(self, settled: Settled) -> None:
        """Decide the seller's similar cases anew, from what their pods saw, by what is in force now."""
        record = settled.line.record
        policy = self._policies.policy()
        async for line in _of_seller(self._cases, record.tenant, record.listing.seller):
            if line.record.check_id == record.check_id or not untouched(line.standing):
                continue
            if not similar(record, line.record):
                continue
            if (await asyncio.to_thread(_verdict, line, policy)) == VERDICT_ALLOW:
                await self._record_redecision(line, record.check_id)

    async def _record_redecision(self, line: Line, because_of: str) -> None:
        event = EventRecord(
            check_id=line.record.check_id,
            tenant=line.record.tenant,
            actor="ostiary",
            kind=kinds.REDECIDED,
            detail=f"ALLOW stands: check {because_of}, of the same picture, was overturned",
            redecision=EventRedecision(verdict=VERDICT_ALLOW, because_of=because_of),
        )
        try:
            await self._log.append(event, after=line.standing.version)
        except OvertakenError:
            return  # somebody has it in hand
        except OstiaryError as error:
            LOG.error("a similar case could not be decided anew", check_id=event.check_id, error=str(error))


def _ends_allowance(settled: Settled) -> bool:
    """Whether a ruling goes against what an earlier one had allowed."""
    return settled.line.standing.verdict == VERDICT_ALLOW and not settled.overturned


def _amend(lists: FolderListSource, name: str, amended: overturned.Amended) -> None:
    try:
        for problem in lists.amend(name, amended):
            LOG.error("a list of overturns is not in force", list=name, error=problem)
    except (OSError, ValueError) as error:
        LOG.error("a list of overturns cannot be written", list=name, error=str(error))


async def _of_seller(cases: Cases, tenant: str, seller: str) -> AsyncIterator[Line]:
    """The seller's newest cases that are not allowed."""
    if not seller:
        return
    verdicts = (VERDICT_REVIEW, VERDICT_BLOCK, VERDICT_HOLD)
    behind = None
    for _ in range(_LOOKED_AT // _PAGE):
        page = await cases.search(
            Search(tenant, sellers=[seller], verdicts=verdicts, behind=behind, most=_PAGE)
        )
        for line in page.lines:
            yield line
        if (behind := page.end) is None:
            return


def _verdict(line: Line, policy: PolicyInForce) -> int:
    return replay(line.record, policy, policy).after.verdict
