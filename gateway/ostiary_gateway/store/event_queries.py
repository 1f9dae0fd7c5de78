"""What happened to cases, and where they stand; each question runs inside the caller's transaction."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import Connection, Row, exists, select

from ostiary.v1.record_pb2 import EventRecord
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.case_log import RecordedEvent
from ostiary_gateway.review.standing import ERASED, Standing
from ostiary_gateway.store.case_rows import standing_of
from ostiary_gateway.store.schema import case_events, cases, decisions

_E = case_events.c


@dataclass(frozen=True)
class Held:
    """A check on record: whose it is, its decision's entry, and where its case stands.

    `standing` is None where the case cannot be told: its record was damaged when an older store was opened,
    or it was erased. `erased`: whether it has a tombstone.
    """

    tenant: str
    log_index: int
    standing: Standing | None
    erased: bool = False


def held(connection: Connection, check_ids: Collection[str]) -> dict[str, Held]:
    """The checks on record by their ids; those that are not there are left out."""
    erased = exists().where(_E.check_id == decisions.c.check_id, _E.kind == ERASED).label("erased")
    decided = (decisions.c.check_id, decisions.c.tenant, decisions.c.log_index.label("decided_in"))
    query = (
        select(*decided, erased, cases)
        .join_from(decisions, cases, isouter=True)
        .where(decisions.c.check_id.in_(check_ids))
    )
    return {
        row.check_id: Held(
            row.tenant,
            row.decided_in,
            None if row.state is None else standing_of(row),
            bool(row.erased),
        )
        for row in connection.execute(query).all()
    }


def events_of(connection: Connection, tenant: str, check_id: str) -> list[RecordedEvent]:
    """What happened to a tenant's case, the oldest first."""
    query = (
        select(_E.log_index, _E.check_id, _E.tenant, _E.kind, _E.created_us, _E.record)
        .where(_E.check_id == check_id, _E.tenant == tenant)
        .order_by(_E.log_index)
    )
    return [RecordedEvent(row.log_index, _decoded(row)) for row in connection.execute(query)]


def _decoded(row: Row[*tuple[Any, ...]]) -> EventRecord:
    if not row.record:
        # What it said was erased with its check.
        left = EventRecord(check_id=row.check_id, tenant=row.tenant, kind=row.kind)
        left.at.FromMicroseconds(row.created_us)
        return left
    try:
        return EventRecord.FromString(row.record)
    except DecodeError as error:
        words = f"the event of entry {row.log_index} is damaged; see `ostiary audit verify`"
        raise OstiaryError(Reason.STORE_UNAVAILABLE, words) from error
