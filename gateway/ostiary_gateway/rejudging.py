"""Recorded checks judged by a candidate, and how many turn out otherwise. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ostiary.v1.decision_pb2 import Action, Finding, Verdict
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.policy.decide import decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.policy.shortcut import Asked, Redecided, Shortcut
from ostiary_gateway.replay import subject_of

_GALLERIES_KEPT = 64


@dataclass(frozen=True)
class Flip:
    """A check that the candidate decides otherwise than it was recorded.

    Attributes:
        check_id, tenant, seller, category: whose, of what.
        before, after: the verdict on record, and the candidate's.
        labels: `policy/label` of what asks for more or less than before; none where it is a failure's doing.
    """

    check_id: str
    tenant: str
    seller: str
    category: str
    before: Verdict.ValueType
    after: Verdict.ValueType
    labels: tuple[str, ...]


@dataclass
class FlipTally:
    """What many judged checks come to. Tallies of parts add up to the tally of the whole.

    Attributes:
        checks: how many there are.
        in_full: how many had to be decided in full.
        verdicts: how many went from which verdict to which.
        labels, categories, sellers: flips by each.
        examples: a few flips for each pair of verdicts.
    """

    checks: int = 0
    in_full: int = 0
    verdicts: Counter[tuple[int, int]] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    sellers: Counter[str] = field(default_factory=Counter)
    examples: dict[tuple[int, int], list[Flip]] = field(default_factory=dict)

    @property
    def flips(self) -> int:
        """How many checks the candidate decides otherwise."""
        return sum(count for (before, after), count in self.verdicts.items() if before != after)

    @property
    def rate(self) -> float:
        """Flips per check; 0 without checks."""
        return self.flips / self.checks if self.checks else 0.0

    def add(self, other: "FlipTally", most_examples: int) -> None:
        """Count what another part came to; of each pair of verdicts, at most so many examples are kept."""
        self.checks += other.checks
        self.in_full += other.in_full
        self.verdicts.update(other.verdicts)
        self.labels.update(other.labels)
        self.categories.update(other.categories)
        self.sellers.update(other.sellers)
        for pair, flips in other.examples.items():
            kept = self.examples.setdefault(pair, [])
            kept += flips[: most_examples - len(kept)]


class Rejudge:
    """Judges recorded checks by a candidate."""

    def __init__(self, candidate: PolicyInForce, known: Sequence[PolicyInForce], most_examples: int) -> None:
        """`known`: policies that checks were decided under; those of others are decided in full."""
        self._candidate = candidate
        shortcuts = ((policy.sha256, Shortcut(policy, candidate)) for policy in known)
        self._shortcuts = {digest: shortcut for digest, shortcut in shortcuts if shortcut.possible}
        self._most_examples = most_examples
        self._believing: dict[bytes, PolicyInForce] = {}

    def tally(self, records: Iterable[DecisionRecord]) -> FlipTally:
        """What a part of the record comes to."""
        tally = FlipTally()
        verdicts = tally.verdicts
        for record in records:
            tally.checks += 1
            shortcut = self._shortcuts.get(record.response.receipt.policy_sha256)
            redecided = shortcut.redecide(record) if shortcut else None
            if redecided is None:
                tally.in_full += 1
                redecided = self._in_full(record)
            pair = record.response.verdict, redecided.verdict
            verdicts[pair] += 1
            if pair[0] != pair[1]:
                self._count(tally, pair, record, redecided)
        return tally

    def _in_full(self, record: DecisionRecord) -> Redecided:
        decision = decide(subject_of(record), self._by_gallery(record.observations.gallery_digest))
        return Redecided(decision.verdict, frozenset(asked_of(decision.findings)))

    def _by_gallery(self, gallery: bytes) -> PolicyInForce:
        """The candidate where marks count that a pod compared with then."""
        found = self._believing.get(gallery)
        if found is None:
            if len(self._believing) >= _GALLERIES_KEPT:
                self._believing.clear()
            brands = self._candidate.brands.believing([gallery])
            found = self._believing[gallery] = replace(self._candidate, brands=brands)
        return found

    def _count(
        self,
        tally: FlipTally,
        pair: tuple[Verdict.ValueType, Verdict.ValueType],
        record: DecisionRecord,
        redecided: Redecided,
    ) -> None:
        changed = redecided.asked ^ set(asked_of(record.response.findings))
        flip = Flip(
            check_id=record.check_id,
            tenant=record.tenant,
            seller=record.listing.seller,
            category=record.listing.category,
            before=pair[0],
            after=pair[1],
            labels=tuple(sorted({label for label, _ in changed})),
        )
        tally.labels.update(flip.labels)
        tally.categories[flip.category] += 1
        tally.sellers[flip.seller] += 1
        kept = tally.examples.setdefault(pair, [])
        if len(kept) < self._most_examples:
            kept.append(flip)


def asked_of(findings: Iterable[Finding]) -> Iterable[Asked]:
    """What findings ask for more than a note."""
    return (
        (f"{found.policy}/{found.label}", found.action)
        for found in findings
        if found.action > Action.ACTION_NOTE
    )
