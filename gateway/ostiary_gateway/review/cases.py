"""The contract of cases: decisions on record and what happened to them, as people look for them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ostiary.v1.audit_pb2 import RULING_OVERTURN
from ostiary.v1.decision_pb2 import VERDICT_ALLOW
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.case_log import RecordedEvent
from ostiary_gateway.review.standing import ERASED, Standing


@dataclass(frozen=True)
class Place:
    """Where a page of cases ended: when its last case was decided, and the index of its entry."""

    decided_us: int
    log_index: int


@dataclass(frozen=True)
class Search:
    """Which of a tenant's cases are meant; all conditions hold, and an empty one holds for all.

    Attributes:
        tenant: whose.
        verdicts, sellers, policies, bundle_digests: one of which it has.
        labels, brands: one of which is among its own.
        states: one of which it is in, at `now_us`.
        words: all of which stand in its texts; folded.
        since_us, until_us: microseconds since 1970, from which on and before which it was decided.
        min_score: the least that its highest score is.
        now_us: microseconds since 1970 at which states are meant: a claim ends with its lease.
        behind: the place that the page starts behind; None: the newest first.
        most: how many at once.
    """

    tenant: str
    verdicts: Sequence[int] = ()
    sellers: Sequence[str] = ()
    policies: Sequence[str] = ()
    bundle_digests: Sequence[bytes] = ()
    labels: Sequence[str] = ()
    brands: Sequence[str] = ()
    states: Sequence[int] = ()
    words: Sequence[str] = ()
    since_us: int | None = None
    until_us: int | None = None
    min_score: float = 0.0
    now_us: int = 0
    behind: Place | None = None
    most: int = 50


@dataclass(frozen=True)
class Line:
    """A decision as it was recorded, and where its case stands."""

    record: DecisionRecord
    standing: Standing


@dataclass(frozen=True)
class Settled:
    """A case that a ruling has settled: as it stood before, the event, and the verdict that stands."""

    line: Line
    event: RecordedEvent

    @property
    def overturned(self) -> bool:
        """Whether what was flagged is allowed by it."""
        ruling = self.event.record.ruling
        return ruling.ruling == RULING_OVERTURN and ruling.verdict == VERDICT_ALLOW


@dataclass(frozen=True)
class Page:
    """Cases, the newest first, and where to go on; None: no more."""

    lines: Sequence[Line]
    end: Place | None


@dataclass(frozen=True)
class Case:
    """A decision as it was recorded, its answer with the whole receipt, and what happened since.

    Of an erased check there is left: its id, its tenant, when it was recorded, where the log holds it, and
    what happened, without what people wrote.
    """

    record: DecisionRecord
    response: CheckResponse
    events: Sequence[RecordedEvent]
    standing: Standing

    @property
    def erased(self) -> bool:
        """Whether it has a tombstone."""
        return any(event.record.kind == ERASED for event in self.events)


@dataclass(frozen=True)
class Proof:
    """Hashes that lead to a checkpoint, its note, and the hash of the leaf where one is proved."""

    path: Sequence[bytes]
    checkpoint: str
    leaf_hash: bytes = b""


class Cases(Protocol):
    """Finds cases. Each method raises OstiaryError (STORE_UNAVAILABLE)."""

    async def search(self, search: Search) -> Page:
        """A page of a tenant's cases."""
        ...

    async def get(self, tenant: str, check_id: str) -> Case | None:
        """A tenant's case; None where the tenant has no such check."""
        ...

    async def lines(self, tenant: str, check_ids: Sequence[str]) -> Mapping[str, Line]:
        """A tenant's cases by their checks; those that it does not have are left out."""
        ...

    async def waiting(
        self,
        tenant: str,
        reviewer: str,
        now_us: int,
        most: int,
        *,
        leads: bool,
        without: Collection[str] = (),
    ) -> Sequence[Line]:
        """Cases that wait for this reviewer at a time and nobody holds: the gravest first, then the oldest.

        What is escalated waits for who leads alone, and what needs a second reviewer not for the first.
        Checks that `without` names are left out.
        """
        ...

    async def ruled_by(self, tenant: str, reviewer: str, check_ids: Collection[str]) -> set[str]:
        """Those of a tenant's checks that the reviewer has ruled on."""
        ...


class Settlements(Protocol):
    """Finds what rulings came to. Each method raises OstiaryError (STORE_UNAVAILABLE)."""

    async def overturned(self, now_us: int) -> Sequence[Settled]:
        """The overturns, of all tenants, that allow something still at a time and that stand."""
        ...


class Log(Protocol):
    """Proves what the log holds. Each method raises OstiaryError (STORE_UNAVAILABLE).

    A size of 0 is that of the newest checkpoint. NOT_FOUND is raised where the log has no such entry, or
    never signed for such a size.
    """

    async def checkpoint(self) -> str:
        """The note of the newest checkpoint. Raises OstiaryError (NOT_FOUND) while the log is empty."""
        ...

    async def prove_inclusion(self, log_index: int, size: int) -> Proof:
        """That an entry is in the log of `size` entries."""
        ...

    async def prove_consistency(self, old_size: int, size: int) -> Proof:
        """That the log of `size` entries extends the one of `old_size`."""
        ...
