"""What happened to cases, and where they stand; each question runs inside the caller's transaction."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import Connection, Row, exists, func, select

from ostiary.v1.decision_pb2 import VERDICT_ALLOW
from ostiary.v1.record_pb2 import DecisionRecord, EventRecord
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.case_log import RecordedEvent
from ostiary_gateway.review.cases import Line, Settled
from ostiary_gateway.review.standing import ERASED, RULED, Standing, first_standing
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
    return [_recorded(row) for row in connection.execute(query)]


def _recorded(row: Row[*tuple[Any, ...]]) -> RecordedEvent:
    return RecordedEvent(row.log_index, _decoded(row.log_index, row.record) if row.record else _left(row))


def _left(row: Row[*tuple[Any, ...]]) -> EventRecord:
    """What is left of an event that was erased with its check."""
    left = EventRecord(check_id=row.check_id, tenant=row.tenant, kind=row.kind)
    left.at.FromMicroseconds(row.created_us)
    return left


def ruled_by(connection: Connection, tenant: str, reviewer: str, check_ids: Collection[str]) -> set[str]:
    """Those of a tenant's checks that a reviewer has ruled on."""
    query = select(_E.log_index, _E.check_id, _E.record).where(
        _E.check_id.in_(check_ids), _E.tenant == tenant, _E.kind == RULED
    )
    rows = connection.execute(query).all()
    return {row.check_id for row in rows if _decoded(row.log_index, row.record).actor == reviewer}


def overturned(connection: Connection, now_us: int) -> list[Settled]:
    """The overturns that allow something still at a time: of each case the last ruling, where it was one."""
    last = select(func.max(_E.log_index)).where(_E.kind == RULED).group_by(_E.check_id)
    query = (
        select(_E.log_index.label("ruled_in"), _E.record.label("event"), decisions.c.record, cases)
        .join_from(case_events, decisions, decisions.c.check_id == _E.check_id)
        .join(cases, cases.c.log_index == decisions.c.log_index)
        .where(_E.log_index.in_(last), cases.c.verdict == VERDICT_ALLOW)
        .order_by(_E.log_index)
    )
    found = []
    for row in connection.execute(query):
        event = RecordedEvent(row.ruled_in, _decoded(row.ruled_in, row.event))
        if event.record.ruling.allow_until.ToMicroseconds() > now_us:
            # As at first, not as before the ruling: an older overturn has nothing more to withdraw.
            record = DecisionRecord.FromString(row.record)
            found.append(Settled(Line(record, first_standing(record.response.verdict, row.log_index)), event))
    return found


def events_by_checks(
    connection: Connection, tenant: str, check_ids: Collection[str]
) -> dict[str, list[RecordedEvent]]:
    """What happened to a tenant's cases, the oldest first, by their checks; every check that is asked for."""
    query = (
        select(_E.log_index, _E.check_id, _E.tenant, _E.kind, _E.created_us, _E.record)
        .where(_E.check_id.in_(check_ids), _E.tenant == tenant)
        .order_by(_E.log_index)
    )
    found: dict[str, list[RecordedEvent]] = {check_id: [] for check_id in check_ids}
    for row in connection.execute(query):
        found[row.check_id].append(_recorded(row))
    return found


def _decoded(log_index: int, data: bytes) -> EventRecord:
    try:
        return EventRecord.FromString(data)
    except DecodeError as error:
        words = f"the event of entry {log_index} is damaged; see `ostiary audit verify`"
        raise OstiaryError(Reason.STORE_UNAVAILABLE, words) from error
