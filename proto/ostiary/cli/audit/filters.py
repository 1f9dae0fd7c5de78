"""Which cases the command line asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ostiary.cli.times import parse_time
from ostiary.v1.audit_pb2 import CaseState, SearchCasesRequest
from ostiary.v1.decision_pb2 import Verdict

_DIGEST_HEX = 64


class VerdictOption(StrEnum):
    """A verdict to look for."""

    ALLOW = "ALLOW"
    REVIEW = "REVIEW"
    HOLD = "HOLD"
    BLOCK = "BLOCK"


class StateOption(StrEnum):
    """A state to look for."""

    OPEN = "OPEN"
    CLAIMED = "CLAIMED"
    DECIDED = "DECIDED"
    APPEALED = "APPEALED"


@dataclass(frozen=True)
class Filters:
    """Conditions as they are written; all hold, and of several values of one kind one must fit."""

    verdicts: Sequence[VerdictOption] = ()
    labels: Sequence[str] = ()
    sellers: Sequence[str] = ()
    brands: Sequence[str] = ()
    bundles: Sequence[str] = ()
    policies: Sequence[str] = ()
    states: Sequence[StateOption] = ()
    since: str = ""
    until: str = ""
    min_score: float = 0.0
    text: str = ""

    def request(self, now: datetime) -> SearchCasesRequest:
        """The same as a request. Raises ValueError, whose words name the option."""
        search = SearchCasesRequest(
            verdicts=[Verdict.Value(f"VERDICT_{each.value}") for each in self.verdicts],
            labels=self.labels,
            sellers=self.sellers,
            brands=self.brands,
            bundle_digests=[_digest(each) for each in self.bundles],
            policies=self.policies,
            states=[CaseState.Value(f"CASE_STATE_{each.value}") for each in self.states],
            min_score=self.min_score,
            text=self.text,
        )
        if since := parse_time("--since", self.since, now):
            search.since.FromDatetime(since)
        if until := parse_time("--until", self.until, now):
            search.until.FromDatetime(until)
        return search


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text.removeprefix("sha256:"))
    except ValueError:
        digest = b""
    if len(digest) * 2 != _DIGEST_HEX:
        raise ValueError(f"--bundle: {text!r} is no digest: give its {_DIGEST_HEX} hexadecimal digits")
    return digest
