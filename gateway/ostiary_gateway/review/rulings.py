"""What a ruling does to a case, and who may give it. Pure."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ostiary.v1.audit_pb2 import (
    CASE_STATE_APPEALED,
    CASE_STATE_OPEN,
    RULING_ESCALATE,
    RULING_OVERTURN,
    Ruling,
)
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, Verdict
from ostiary.v1.record_pb2 import (
    NEXT_REVIEWER_LEAD,
    NEXT_REVIEWER_NONE,
    NEXT_REVIEWER_SECOND,
    NEXT_REVIEWER_UNSPECIFIED,
    NextReviewer,
)
from ostiary_gateway.case_log import RecordedEvent
from ostiary_gateway.review.standing import RULED, Standing


class RefusedRulingError(Exception):
    """The reviewer may not rule on the case as it stands; the words say why."""


@dataclass(frozen=True)
class ReviewRules:
    """How many have to agree.

    Attributes:
        leads: roles that decide what was escalated, by themselves.
        double_share: share of all cases, 0 to 1, that need two reviewers who agree.
        double_verdicts: verdicts of which every case needs two.
        four_eyes: verdicts that only two reviewers together can overturn.
    """

    leads: frozenset[str] = frozenset({"lead-auditor"})
    double_share: float = 0.0
    double_verdicts: frozenset[int] = frozenset()
    four_eyes: frozenset[int] = frozenset()

    def needs_two(self, check_id: str, standing: Standing, ruling: Ruling.ValueType) -> bool:
        """Whether one reviewer's ruling does not settle the case."""
        if ruling == RULING_OVERTURN and standing.verdict in self.four_eyes:
            return True
        return standing.verdict in self.double_verdicts or _draw(check_id) < self.double_share


@dataclass(frozen=True)
class Reviewer:
    """Who rules: SPIFFE ID and role."""

    id: str
    role: str


@dataclass(frozen=True)
class Ruled:
    """What a ruling does.

    Attributes:
        verdict: the one that stands.
        next: who has to rule next.
        told: the verdict that the reviewer is told; that of a golden item stands whatever is ruled.
    """

    verdict: Verdict.ValueType
    next: NextReviewer.ValueType
    told: Verdict.ValueType

    @property
    def settles(self) -> bool:
        """Whether the case is decided with it."""
        return self.next == NEXT_REVIEWER_NONE


def rule(
    check_id: str,
    standing: Standing,
    reviewer: Reviewer,
    ruling: Ruling.ValueType,
    rules: ReviewRules,
    now_us: int,
    *,
    golden: bool = False,
) -> Ruled:
    """What a reviewer's ruling at a time (microseconds since 1970) does; of a golden item, nothing.

    Raises:
        RefusedRulingError: somebody else has claimed the case, or has to rule on it.
    """
    check_may_rule(standing, reviewer, rules, now_us)
    ruled = _ruled(check_id, standing, ruling, rules)
    if golden and standing.next == NEXT_REVIEWER_UNSPECIFIED and standing.state == CASE_STATE_OPEN:
        return Ruled(standing.verdict, NEXT_REVIEWER_UNSPECIFIED, ruled.verdict)
    return ruled


def _ruled(check_id: str, standing: Standing, ruling: Ruling.ValueType, rules: ReviewRules) -> Ruled:
    if ruling == RULING_ESCALATE:
        if standing.next == NEXT_REVIEWER_LEAD:
            raise RefusedRulingError("it is escalated already: uphold or overturn it")
        return _waiting(standing, NEXT_REVIEWER_LEAD)
    verdict = _verdict(standing.verdict, ruling)
    if standing.next == NEXT_REVIEWER_LEAD:
        return _settling(verdict)
    if standing.next == NEXT_REVIEWER_SECOND:
        agreed = ruling == standing.ruling
        return _settling(verdict) if agreed else _waiting(standing, NEXT_REVIEWER_LEAD)
    if rules.needs_two(check_id, standing, ruling):
        return _waiting(standing, NEXT_REVIEWER_SECOND)
    return _settling(verdict)


def _settling(verdict: Verdict.ValueType) -> Ruled:
    return Ruled(verdict, NEXT_REVIEWER_NONE, verdict)


def _waiting(standing: Standing, next_: NextReviewer.ValueType) -> Ruled:
    return Ruled(standing.verdict, next_, standing.verdict)


def check_may_rule(standing: Standing, reviewer: Reviewer, rules: ReviewRules, now_us: int) -> None:
    """Whether a reviewer may claim the case, or rule on it, at a time.

    Raises:
        RefusedRulingError: as in `rule`.
    """
    holder = standing.holder(now_us)
    if holder and holder != reviewer.id:
        raise RefusedRulingError(f"{holder} has claimed it: wait for the ruling, or until the claim ends")
    leads = reviewer.role in rules.leads
    if standing.next == NEXT_REVIEWER_LEAD and not leads:
        raise RefusedRulingError(f"it is escalated: only {' or '.join(sorted(rules.leads))} decides it")
    if standing.next == NEXT_REVIEWER_SECOND and standing.ruled_by == reviewer.id:
        raise RefusedRulingError("you have ruled on it: somebody else has to agree")
    if standing.next == NEXT_REVIEWER_NONE and not leads and standing.state != CASE_STATE_APPEALED:
        raise RefusedRulingError("it is decided: an appeal opens it again")


def shown(events: Sequence[RecordedEvent], reviewer: Reviewer, rules: ReviewRules) -> Iterator[RecordedEvent]:
    """What a reviewer may see: not how others ruled, while it is for the reviewer to agree or not."""
    settling = {NEXT_REVIEWER_NONE, NEXT_REVIEWER_LEAD}
    settled = [event.log_index for event in events if event.record.ruling.next in settling]
    last = max(settled, default=-1)
    for event in events:
        own = event.record.actor == reviewer.id or reviewer.role in rules.leads
        if event.record.kind != RULED or event.log_index <= last or own:
            yield event


def _verdict(stands: Verdict.ValueType, ruling: Ruling.ValueType) -> Verdict.ValueType:
    """A listing that waits for a person is published once the wait was for nothing, and else is not."""
    allowed = stands == VERDICT_ALLOW
    if ruling == RULING_OVERTURN:
        allowed = not allowed
    return VERDICT_ALLOW if allowed else VERDICT_BLOCK


def _draw(check_id: str) -> float:
    """A number from 0 to 1 that is the check's own, the same at each look."""
    digest = hashlib.sha256(b"ostiary double review " + check_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
