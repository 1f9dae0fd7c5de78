"""What of a decision versions of a model are compared by."""

from dataclasses import dataclass

from ostiary.v1.decision_pb2 import Verdict
from ostiary_gateway.policy.decide import ASKED_BY, Decision


@dataclass(frozen=True)
class Judgement:
    """`flagged`: labels with a finding that asks for a person or a block. `category`: the listing's, as its
    seller gave it.
    """

    verdict: Verdict.ValueType
    flagged: frozenset[str] = frozenset()
    category: str = ""

    @classmethod
    def of(cls, decision: Decision, category: str) -> "Judgement":
        """Of a decision on a listing of this category."""
        flagged = frozenset(one.label for one in decision.findings if one.action in ASKED_BY)
        return cls(decision.verdict, flagged, category)

    def flips(self, other: "Judgement") -> frozenset[str]:
        """Labels that one of two judgements of the same check flags, and the other does not."""
        return self.flagged ^ other.flagged
