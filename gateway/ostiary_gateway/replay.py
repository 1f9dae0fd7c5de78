"""Recorded checks, decided again: what another policy, pack or list would have made of them. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ostiary.v1.decision_pb2 import Action, Finding, Verdict
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.policy.decide import ASKED_BY, GRAVITY, UNUSABLE, Decision, Subject, decide, gravest
from ostiary_gateway.policy.in_force import PolicyInForce

_NOT_WANTED = "not_wanted"


@dataclass(frozen=True, order=True)
class Hit:
    """A finding without what changes from one version to the next.

    Attributes:
        by: what made it: a rule with its pack, a list, a question, a claim.
        policy: policy that it speaks for.
        label: label within the policy.
        action: `NOTE`, `REVIEW` or `BLOCK`.
    """

    by: str
    policy: str
    label: str
    action: str


@dataclass(frozen=True)
class Replayed:
    """A recorded check, decided by what is in force and by a candidate.

    Attributes:
        record: as it was recorded.
        before: the decision by what is in force.
        after: the decision by the candidate.
    """

    record: DecisionRecord
    before: Decision
    after: Decision

    @property
    def verdict_changes(self) -> bool:
        """Whether the candidate decides otherwise."""
        return self.before.verdict != self.after.verdict

    @property
    def changes(self) -> bool:
        """Whether the candidate finds or decides otherwise."""
        return self.verdict_changes or bool(self.gained or self.lost)

    @property
    def gained(self) -> list[Hit]:
        """What the candidate finds more."""
        return sorted((hits(self.after.findings) - hits(self.before.findings)).elements())

    @property
    def lost(self) -> list[Hit]:
        """What the candidate no longer finds."""
        return sorted((hits(self.before.findings) - hits(self.after.findings)).elements())

    @property
    def decided_at(self) -> datetime:
        """When it was decided, in UTC."""
        return self.record.response.receipt.decided_at.ToDatetime(UTC)


@dataclass
class Tally:
    """What many replayed checks come to.

    Attributes:
        checks: how many there are.
        verdicts: how many went from which verdict to which.
        hits_before: in how many checks something finds, by what is in force.
        hits_after: the same by the candidate.
        recorded_otherwise: how many were recorded with another verdict than what is in force now gives.
    """

    checks: int = 0
    verdicts: Counter[tuple[Verdict.ValueType, Verdict.ValueType]] = field(default_factory=Counter)
    hits_before: Counter[str] = field(default_factory=Counter)
    hits_after: Counter[str] = field(default_factory=Counter)
    recorded_otherwise: int = 0

    @property
    def verdict_changes(self) -> int:
        """How many the candidate decides otherwise."""
        return sum(count for (before, after), count in self.verdicts.items() if before != after)

    def add(self, replayed: Replayed) -> None:
        """Count one."""
        before, after = replayed.before, replayed.after
        self.checks += 1
        self.verdicts[before.verdict, after.verdict] += 1
        self.hits_before.update({hit.by for hit in hits(before.findings)})
        self.hits_after.update({hit.by for hit in hits(after.findings)})
        self.recorded_otherwise += before.verdict != replayed.record.response.verdict


def replay(record: DecisionRecord, before: PolicyInForce, after: PolicyInForce) -> Replayed:
    """The check decided twice, as of the time at which it was recorded.

    Marks count that its pod compared with then, whatever is in its gallery now: of a new registry only those
    that were looked for before can be judged.
    """
    subject = subject_of(record)
    gallery = record.observations.gallery_digest
    return Replayed(
        record, decide(subject, _believing(before, gallery)), decide(subject, _believing(after, gallery))
    )


def _believing(policy: PolicyInForce, gallery: bytes) -> PolicyInForce:
    # Not `with_brands`, which would digest the whole policy anew for each check.
    return replace(policy, brands=policy.brands.believing([gallery]))


def subject_of(record: DecisionRecord) -> Subject:
    """What was decided on, as far as decisions depend on it.

    The record does not keep everything in so many words: how many images there were, what the caller wanted
    and what the route said of missing pods are read off the answer.
    """
    response = record.response
    # Which images there were is not on record where observations named some that there were not.
    believed = all(UNUSABLE not in reason.detail for reason in response.hold_reasons)
    observations = record.observations if record.HasField("observations") and believed else None
    return Subject(
        listing=record.listing,
        image_count=_image_count(record),
        observations=observations,
        at=response.receipt.decided_at.ToDatetime(UTC),
        flags=all(reason.code != _NOT_WANTED for reason in response.hold_reasons),
        failure_verdict=_failure_verdict(response),
        tenant=record.tenant,
    )


def hits(findings: Iterable[Finding]) -> Counter[Hit]:
    """The findings as hits, and how often there is each."""
    return Counter(
        Hit(_by(found), found.policy, found.label, Action.Name(found.action).removeprefix("ACTION_"))
        for found in findings
    )


def _by(found: Finding) -> str:
    evidence = found.evidence
    if evidence.HasField("contradiction"):
        return f"claimed {evidence.contradiction.about}"
    if evidence.HasField("brand"):
        return f"brand {evidence.brand.brand}"
    if evidence.HasField("rule"):
        return f"{_unversioned(evidence.rule.pack)} {evidence.rule.rule}"
    if evidence.HasField("known_image"):
        return f"list {_unversioned(evidence.known_image.list)}"
    if evidence.HasField("score"):
        return f"{found.source} {evidence.score.question}"
    return found.source


def _unversioned(title: str) -> str:
    return title.rpartition("@")[0] or title


def _image_count(record: DecisionRecord) -> int:
    """Every image was read, found faulty, or held back for not having been looked at."""
    seen = record.observations
    indices = [image.image_index for image in seen.images]
    indices += [fault.image_index for fault in seen.faults]
    indices += [reason.image_index for reason in record.response.hold_reasons]
    return 1 + max(indices, default=0)


def _failure_verdict(response: CheckResponse) -> Verdict.ValueType:
    """The verdict that no finding asks for, unless it is HOLD; else nothing, as where a route says nothing.

    HOLD is what silence means too, and a cheap tier is the policy's doing: both are for the policy to say.
    """
    asked = gravest([ASKED_BY[found.action] for found in response.findings if found.action in ASKED_BY])
    silent = {asked, Verdict.VERDICT_HOLD}
    told = response.verdict not in silent and not response.receipt.cheap_tier and response.verdict in GRAVITY
    return response.verdict if told else Verdict.VERDICT_UNSPECIFIED
