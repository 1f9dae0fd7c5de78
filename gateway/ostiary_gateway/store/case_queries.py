"""Cases and proofs, asked of the tables; each runs inside the caller's transaction."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import Connection, Row, select

from ostiary.tlog.proofs import TiledTree
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import NEXT_REVIEWER_LEAD, DecisionRecord
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.review.cases import Case, Line, Page, Place, Proof, Search
from ostiary_gateway.review.standing import ERASED, after_event, first_standing
from ostiary_gateway.store import event_queries, postgres_search, queries, sqlite_search
from ostiary_gateway.store.case_conditions import undecided
from ostiary_gateway.store.case_rows import standing_of
from ostiary_gateway.store.schema import cases, decisions

_C = cases.c


def search_cases(connection: Connection, search: Search) -> Page:
    """A page of a tenant's cases, the newest first."""
    most = search.most + 1  # the one more tells whether there is another page
    rows = _search(connection)(connection, search, most)
    shown = rows[: search.most]
    end = Place(shown[-1].decided_us, shown[-1].log_index) if len(rows) > len(shown) else None
    records = _records(connection, [row.log_index for row in shown])
    return Page(
        [Line(_decoded(row.log_index, records[row.log_index]), standing_of(row)) for row in shown], end
    )


def _search(connection: Connection) -> Callable[[Connection, Search, int], Sequence[Row[Any]]]:
    return sqlite_search.search_rows if connection.dialect.name == "sqlite" else postgres_search.search_rows


def _records(connection: Connection, log_indexes: Sequence[int]) -> dict[int, bytes]:
    """The records of decisions by the indexes of their entries."""
    query = select(decisions.c.log_index, decisions.c.record).where(decisions.c.log_index.in_(log_indexes))
    return {row.log_index: row.record for row in connection.execute(query)}


def case_by_check(connection: Connection, tenant: str, check_id: str, origin: str) -> Case | None:
    """A tenant's case."""
    query = select(decisions.c.log_index, decisions.c.record, decisions.c.created_us).where(
        decisions.c.check_id == check_id, decisions.c.tenant == tenant
    )
    row = connection.execute(query).one_or_none()
    place = queries.place_of_check(connection, tenant, check_id, origin) if row else None
    if row is None or place is None:
        return None
    events = event_queries.events_of(connection, tenant, check_id)
    if any(event.record.kind == ERASED for event in events):
        # From its tombstone on, whether or not it has gone from the tables yet.
        record, response = _left(tenant, check_id, row.created_us), place
    else:
        record = _decoded(row.log_index, row.record)
        response = CheckResponse()
        response.CopyFrom(record.response)
        response.receipt.MergeFrom(place.receipt)
    standing = first_standing(record.response.verdict, row.log_index)
    for event in events:
        standing = after_event(standing, event.record, event.log_index)
    return Case(record, response, events, standing)


def _left(tenant: str, check_id: str, recorded_us: int) -> DecisionRecord:
    """What is left of an erased decision's record."""
    record = DecisionRecord(check_id=check_id, tenant=tenant)
    record.recorded_at.FromMicroseconds(recorded_us)
    return record


def lines(connection: Connection, tenant: str, check_ids: Sequence[str]) -> dict[str, Line]:
    """A tenant's cases by their checks."""
    query = (
        select(cases, decisions.c.check_id, decisions.c.record)
        .join_from(cases, decisions)
        .where(decisions.c.check_id.in_(check_ids), decisions.c.tenant == tenant)
    )
    return {row.check_id: _line(row) for row in connection.execute(query).all()}


def waiting(
    connection: Connection,
    tenant: str,
    reviewer: str,
    now_us: int,
    most: int,
    *,
    leads: bool,
    without: Collection[str],
) -> list[Line]:
    """A tenant's cases that wait for a reviewer, the gravest first, then the oldest."""
    conditions = [_C.tenant == tenant, undecided(_C), _C.lease_until_us <= now_us]
    conditions.append(_C.ruled_by != reviewer)
    if without:
        conditions.append(decisions.c.check_id.not_in(without))
    if not leads:
        conditions.append(_C.next != NEXT_REVIEWER_LEAD)
    query = (
        select(cases, decisions.c.record)
        .join_from(cases, decisions)
        .where(*conditions)
        .order_by(_C.gravity.desc(), _C.decided_us, _C.log_index)
        .limit(most)
    )
    return [_line(row) for row in connection.execute(query).all()]


def newest_note(connection: Connection) -> tuple[int, str]:
    """Size and note of the newest checkpoint. Raises OstiaryError (NOT_FOUND) while the log is empty."""
    newest = queries.newest_checkpoint(connection)
    if newest is None:
        raise OstiaryError(Reason.NOT_FOUND, "The log is empty: nothing has been decided yet")
    return newest


def inclusion(connection: Connection, log_index: int, size: int) -> Proof:
    """That an entry is in the log of `size` entries; 0: of as many as the newest checkpoint's."""
    size, note = _signed(connection, size)
    if log_index >= size:
        raise OstiaryError(
            Reason.NOT_FOUND, f"A log of {size} entries has none at {log_index}: they count from 0"
        )
    tree = _tree(connection, size)
    return Proof(tree.inclusion(log_index), note, tree.leaf(log_index))


def consistency(connection: Connection, old_size: int, size: int) -> Proof:
    """That the log of `size` entries extends the one of `old_size`; 0 as above."""
    size, note = _signed(connection, size)
    if old_size > size:
        raise OstiaryError(Reason.NOT_FOUND, f"The log has {size} entries and never had {old_size}")
    return Proof(_tree(connection, size).consistency(old_size), note)


def _signed(connection: Connection, size: int) -> tuple[int, str]:
    if size == 0:
        return newest_note(connection)
    note = queries.checkpoint_of(connection, size)
    if note is None:
        words = f"No checkpoint was signed over {size} entries: name one that you hold, or 0 for the newest"
        raise OstiaryError(Reason.NOT_FOUND, words)
    return size, note


def _tree(connection: Connection, size: int) -> TiledTree:
    return TiledTree(size, lambda level, start, stop: queries.tile_hashes(connection, level, start, stop))


def _line(row: Row[*tuple[Any, ...]]) -> Line:
    return Line(_decoded(row.log_index, row.record), standing_of(row))


def _decoded(log_index: int, data: bytes) -> DecisionRecord:
    try:
        return DecisionRecord.FromString(data)
    except DecodeError as error:
        words = f"the record of entry {log_index} is damaged; see `ostiary audit verify`"
        raise OstiaryError(Reason.STORE_UNAVAILABLE, words) from error
