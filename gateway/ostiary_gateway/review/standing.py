"""Where a case stands, out of its decision and of what happened since. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ostiary.v1.audit_pb2 import (
    CASE_STATE_APPEALED,
    CASE_STATE_CLAIMED,
    CASE_STATE_DECIDED,
    CASE_STATE_OPEN,
    RULING_UNSPECIFIED,
    CaseState,
    Ruling,
)
from ostiary.v1.decision_pb2 import VERDICT_HOLD, VERDICT_REVIEW, Verdict
from ostiary.v1.record_pb2 import (
    NEXT_REVIEWER_NONE,
    NEXT_REVIEWER_SECOND,
    NEXT_REVIEWER_UNSPECIFIED,
    EventRecord,
    NextReviewer,
)
from ostiary_gateway.case_log import RecordedEvent

DECIDED, VIEWED, CLAIMED, RULED = "decided", "viewed", "claimed", "ruled"
COMMENTED, APPEALED, HELD, RELEASED = "commented", "appealed", "held", "released"
ERASED, REDECIDED, TOLD = "erased", "redecided", "told"

# What changes nothing about where a case stands.
_PASSING = frozenset({VIEWED, COMMENTED, TOLD})


@dataclass(frozen=True)
class Standing:
    """Where a case stands.

    Attributes:
        verdict: the one that stands.
        state: OPEN, DECIDED or APPEALED, whoever has claimed it meanwhile.
        version: index of the entry that put it so: its decision's, or that of a later event.
        claimed_by: SPIFFE ID of who claimed it last and has not ruled since; empty: nobody.
        lease_until_us: microseconds since 1970 until when the claim holds; 0 without one.
        next: who has to rule; unspecified: anybody.
        ruled_by: who ruled first, where a second has to agree; empty otherwise.
        ruling: how they ruled.
        held: whether a legal hold stands.
    """

    verdict: Verdict.ValueType
    state: CaseState.ValueType
    version: int
    claimed_by: str = ""
    lease_until_us: int = 0
    next: NextReviewer.ValueType = NEXT_REVIEWER_UNSPECIFIED
    ruled_by: str = ""
    ruling: Ruling.ValueType = RULING_UNSPECIFIED
    held: bool = False

    def holder(self, now_us: int) -> str:
        """Whose it is at a time; empty: it is free."""
        return self.claimed_by if now_us < self.lease_until_us else ""

    def state_at(self, now_us: int) -> CaseState.ValueType:
        """The state as people see it."""
        return CASE_STATE_CLAIMED if self.holder(now_us) else self.state


def first_state(verdict: Verdict.ValueType) -> CaseState.ValueType:
    """Where a case stands before anybody has touched it: what a person should look at waits for one."""
    return CASE_STATE_OPEN if verdict in (VERDICT_REVIEW, VERDICT_HOLD) else CASE_STATE_DECIDED


def first_standing(verdict: Verdict.ValueType, log_index: int) -> Standing:
    """Where a case stands before anybody has touched it."""
    return Standing(verdict, first_state(verdict), log_index)


def changes(event: EventRecord) -> bool:
    """Whether an event changes where its case stands."""
    return event.kind not in _PASSING


def after_event(standing: Standing, event: EventRecord, log_index: int) -> Standing:
    """Where the case stands once the event is on record."""
    if not changes(event):
        return standing
    now = replace(standing, version=log_index)
    match event.kind:
        case "claimed":
            until = event.claim.lease_until.ToMicroseconds()
            return replace(now, claimed_by=event.actor, lease_until_us=until)
        case "ruled":
            return _ruled(now, event)
        case "appealed":
            return replace(_unclaimed(now), state=CASE_STATE_APPEALED, next=NEXT_REVIEWER_UNSPECIFIED)
        case "held" | "released":
            return replace(now, held=event.kind == HELD)
        case "redecided":
            verdict = event.redecision.verdict
            return replace(_unclaimed(now), verdict=verdict, state=first_state(verdict))
        case "erased":
            return replace(_unclaimed(now), state=CASE_STATE_DECIDED)
    return now


def seller_reason(events: Sequence[RecordedEvent]) -> str:
    """What the last ruling that settled the case says to the seller; empty: nothing."""
    settling = [each.record.ruling for each in events if each.record.ruling.next == NEXT_REVIEWER_NONE]
    return settling[-1].seller_reason if settling else ""


def _ruled(now: Standing, event: EventRecord) -> Standing:
    ruling = event.ruling
    free = replace(_unclaimed(now), verdict=ruling.verdict, next=ruling.next)
    if ruling.next == NEXT_REVIEWER_NONE:
        return replace(free, state=CASE_STATE_DECIDED)
    # A case that nobody had to look at is open once somebody else has to agree.
    waiting = replace(free, state=now.state if now.state == CASE_STATE_APPEALED else CASE_STATE_OPEN)
    if ruling.next == NEXT_REVIEWER_SECOND:
        return replace(waiting, ruled_by=event.actor, ruling=ruling.ruling)
    return waiting


def _unclaimed(standing: Standing) -> Standing:
    return replace(standing, claimed_by="", lease_until_us=0, ruled_by="", ruling=RULING_UNSPECIFIED)
