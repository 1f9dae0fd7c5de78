"""The review desk: cases are claimed, ruled on, commented on, appealed and held. Each step is an event."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ostiary.v1.audit_pb2 import (
    CASE_STATE_APPEALED,
    RULING_ESCALATE,
    RULING_OVERTURN,
    RULING_UPHOLD,
    CaseOutcome,
    Ruling,
)
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, Verdict
from ostiary.v1.record_pb2 import (
    NEXT_REVIEWER_LEAD,
    NEXT_REVIEWER_SECOND,
    EventAppeal,
    EventClaim,
    EventComment,
    EventHold,
    EventRecord,
    EventRuling,
)
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.case_log import CaseLog, OvertakenError, RecordedEvent
from ostiary_gateway.ids import new_check_id
from ostiary_gateway.review import standing as kinds
from ostiary_gateway.review.cases import Cases, Line, Settled
from ostiary_gateway.review.golden import Golden, no_golden
from ostiary_gateway.review.rulings import (
    RefusedRulingError,
    Reviewer,
    ReviewRules,
    Ruled,
    check_may_rule,
    rule,
)
from ostiary_gateway.review.standing import Standing
from ostiary_gateway.times import microseconds, utc_now

# Somebody else may get in between a look and a step; so often in a row hardly ever.
_TRIES = 8
_QUEUE_PAGE = 20
_WORDS = {RULING_UPHOLD: "upheld", RULING_OVERTURN: "overturned", RULING_ESCALATE: "escalated"}


@dataclass(frozen=True)
class RulingAsked:
    """A ruling, why for compliance teams and for the seller, and for how long an overturn allows."""

    ruling: Ruling.ValueType
    internal_reason: str
    seller_reason: str
    allow_for: timedelta


class Aftermath(Protocol):
    """What follows from settled cases, once they are on record."""

    async def follow(self, settled: Sequence[Settled]) -> None:
        """Do what has to be done before the reviewer is answered, and begin the rest; never raises."""
        ...


class Desk:
    """Decides who may do what to a case, and records it. For one event loop; several may share a store."""

    def __init__(
        self,
        cases: Cases,
        log: CaseLog,
        rules: ReviewRules,
        aftermath: Aftermath,
        clock: Callable[[], datetime] = utc_now,
        golden: Callable[[], Golden] = no_golden,
    ) -> None:
        """`clock` gives aware times; `golden` the cases whose right ruling is known."""
        self._cases = cases
        self._log = log
        self._rules = rules
        self._aftermath = aftermath
        self._clock = clock
        self._golden = golden
        self._picking = asyncio.Lock()

    async def claim(self, tenant: str, reviewer: Reviewer, check_id: str, lease: timedelta) -> Line:
        """A case, the reviewer's from now on; an empty `check_id` asks for the next of the queue.

        Who holds the case already holds it for the new lease. Raises OstiaryError (NOT_FOUND,
        FAILED_PRECONDITION).
        """
        if check_id:
            return await self._claim_named(tenant, reviewer, check_id, lease)
        # One reviewer of this process at a time: all would want the same case.
        async with self._picking:
            return await self._claim_next(tenant, reviewer, lease)

    async def decide(
        self, tenant: str, reviewer: Reviewer, check_ids: Sequence[str], asked: RulingAsked
    ) -> list[CaseOutcome]:
        """What becomes of each case, in order; one that cannot be decided keeps none from it."""
        lines = await self._cases.lines(tenant, check_ids)
        found = await asyncio.gather(
            *(self._decide(tenant, reviewer, check_id, lines.get(check_id), asked) for check_id in check_ids)
        )
        settled = [each for _, each in found if each is not None]
        if settled:
            await self._aftermath.follow(settled)
        return [outcome for outcome, _ in found]

    async def comment(self, tenant: str, actor: str, check_id: str, text: str) -> RecordedEvent:
        """The comment as recorded. Raises OstiaryError (NOT_FOUND)."""
        event = _event(tenant, actor, check_id, kinds.COMMENTED, text)
        event.comment.CopyFrom(EventComment(text=text))
        return await self._log.append(event)

    async def hold(self, tenant: str, actor: str, check_id: str, reason: str, *, held: bool) -> RecordedEvent:
        """The hold, set or lifted, as recorded. Raises OstiaryError (NOT_FOUND, FAILED_PRECONDITION)."""

        def step(line: Line) -> EventRecord:
            if line.standing.held == held:
                words = "It is held already" if held else "There is no hold to lift"
                raise OstiaryError(Reason.FAILED_PRECONDITION, words)
            event = _event(tenant, actor, check_id, kinds.HELD if held else kinds.RELEASED, reason, reason)
            event.hold.CopyFrom(EventHold(hold=held))
            return event

        _, event = await self._step(tenant, check_id, step)
        return event

    async def appeal(self, tenant: str, actor: str, check_id: str, statement: str, callback: str) -> str:
        """Identifier of a new appeal.

        Raises OstiaryError (NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION).
        """
        appeal_id = new_check_id()

        def step(line: Line) -> EventRecord:
            if line.standing.state == CASE_STATE_APPEALED:
                raise OstiaryError(Reason.ALREADY_EXISTS, "The decision is under appeal already")
            if line.standing.verdict == VERDICT_ALLOW:
                raise OstiaryError(Reason.FAILED_PRECONDITION, "It is allowed: there is nothing to appeal")
            event = _event(tenant, actor, check_id, kinds.APPEALED, statement)
            event.appeal.CopyFrom(
                EventAppeal(appeal_id=appeal_id, statement=statement, callback_uri=callback)
            )
            return event

        await self._step(tenant, check_id, step)
        return appeal_id

    async def _claim_named(self, tenant: str, reviewer: Reviewer, check_id: str, lease: timedelta) -> Line:
        def step(line: Line) -> EventRecord:
            try:
                check_may_rule(line.standing, reviewer, self._rules, self._now_us())
            except RefusedRulingError as error:
                raise OstiaryError(Reason.FAILED_PRECONDITION, f"It cannot be claimed: {error}") from error
            return self._claim(tenant, reviewer, check_id, lease)

        line, event = await self._step(tenant, check_id, step)
        return _moved(line, event)

    async def _claim_next(self, tenant: str, reviewer: Reviewer, lease: timedelta) -> Line:
        leads, golden = reviewer.role in self._rules.leads, self._golden()
        # Nobody gets the same golden item twice.
        without = await self._cases.ruled_by(tenant, reviewer.id, golden) if golden else set()
        for _ in range(_TRIES):
            waiting = await self._cases.waiting(
                tenant, reviewer.id, self._now_us(), _QUEUE_PAGE, leads=leads, without=without
            )
            if not waiting:
                raise OstiaryError(Reason.NOT_FOUND, "No case waits for you: the queue is empty")
            for line in waiting:
                event = self._claim(tenant, reviewer, line.record.check_id, lease)
                try:
                    recorded = await self._log.append(event, after=line.standing.version)
                except OvertakenError:
                    continue
                return _moved(line, recorded)
        raise _busy()

    def _claim(self, tenant: str, reviewer: Reviewer, check_id: str, lease: timedelta) -> EventRecord:
        until = self._clock() + lease
        detail = f"until {until.isoformat(timespec='seconds')}"
        event = _event(tenant, reviewer.id, check_id, kinds.CLAIMED, detail)
        event.claim.CopyFrom(EventClaim())
        event.claim.lease_until.FromDatetime(until)
        return event

    async def _decide(
        self, tenant: str, reviewer: Reviewer, check_id: str, line: Line | None, asked: RulingAsked
    ) -> tuple[CaseOutcome, Settled | None]:
        for _ in range(_TRIES):
            if line is None:
                return CaseOutcome(check_id=check_id, error="there is no such case: check the check_id"), None
            standing = line.standing
            try:
                ruled = rule(
                    check_id,
                    standing,
                    reviewer,
                    asked.ruling,
                    self._rules,
                    self._now_us(),
                    golden=check_id in self._golden(),
                )
                event = self._ruling(tenant, reviewer, check_id, ruled, asked)
                recorded = await self._log.append(event, after=standing.version)
            except RefusedRulingError as error:
                return CaseOutcome(check_id=check_id, verdict=standing.verdict, error=str(error)), None
            except OvertakenError:
                line = (await self._cases.lines(tenant, [check_id])).get(check_id)
                continue
            except OstiaryError as error:
                return CaseOutcome(check_id=check_id, verdict=standing.verdict, error=error.message), None
            settled = Settled(line, recorded) if ruled.settles else None
            return CaseOutcome(check_id=check_id, verdict=ruled.told), settled
        return CaseOutcome(check_id=check_id, error=_busy().message), None

    def _ruling(
        self, tenant: str, reviewer: Reviewer, check_id: str, ruled: Ruled, asked: RulingAsked
    ) -> EventRecord:
        event = _event(tenant, reviewer.id, check_id, kinds.RULED, _told(ruled, asked), asked.internal_reason)
        event.ruling.CopyFrom(
            EventRuling(
                ruling=asked.ruling,
                verdict=ruled.verdict,
                next=ruled.next,
                seller_reason=asked.seller_reason,
            )
        )
        if ruled.settles and asked.ruling == RULING_OVERTURN and ruled.verdict == VERDICT_ALLOW:
            event.ruling.allow_until.FromDatetime(self._clock() + asked.allow_for)
        return event

    async def _step(
        self, tenant: str, check_id: str, step: Callable[[Line], EventRecord]
    ) -> tuple[Line, RecordedEvent]:
        """The case as it stood, and the event that `step` makes of it. Raises OstiaryError."""
        for _ in range(_TRIES):
            line = (await self._cases.lines(tenant, [check_id])).get(check_id)
            if line is None:
                raise OstiaryError(Reason.NOT_FOUND, "There is no such case: check the check_id")
            try:
                return line, await self._log.append(step(line), after=line.standing.version)
            except OvertakenError:
                continue
        raise _busy()

    def _now_us(self) -> int:
        return microseconds(self._clock())


def _event(
    tenant: str, actor: str, check_id: str, kind: str, detail: str = "", reason: str = ""
) -> EventRecord:
    return EventRecord(check_id=check_id, tenant=tenant, actor=actor, kind=kind, detail=detail, reason=reason)


def _moved(line: Line, event: RecordedEvent) -> Line:
    after: Standing = kinds.after_event(line.standing, event.record, event.log_index)
    return Line(line.record, after)


def _told(ruled: Ruled, asked: RulingAsked) -> str:
    waits = ", a second has to agree" if ruled.next == NEXT_REVIEWER_SECOND else ""
    if ruled.next == NEXT_REVIEWER_LEAD and asked.ruling != RULING_ESCALATE:
        waits = ", against the first: escalated"
    stands = Verdict.Name(ruled.told).removeprefix("VERDICT_")
    return f"{_WORDS[asked.ruling]}{waits}; {stands} stands: {asked.internal_reason}"


def _busy() -> OstiaryError:
    words = "Others keep changing the case: try again"
    return OstiaryError(Reason.UNAVAILABLE, words, retry_after=0.5)
