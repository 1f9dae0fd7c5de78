"""The questions asked of the tables; each runs inside the caller's transaction."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from ostiary.tlog.growth import TILE_WIDTH, GrowingTree
from ostiary.tlog.tiles import hashes_at, levels
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.recorder import Recorded
from ostiary_gateway.store.driver import driver_cursor
from ostiary_gateway.store.inserting import blocks, placeholder
from ostiary_gateway.store.rows import with_receipt
from ostiary_gateway.store.schema import checkpoints, decisions, entries, nodes

Key = tuple[str, str]

_D = decisions.c
_HAS_KEY = _D.idempotency_key != ""
# Of an erased check nothing is left to answer with.
_IS_THERE = _D.record != b""
# The first checkpoint signed over the entry: the one that its caller was given.
_NOTE = (
    select(checkpoints.c.note)
    .where(checkpoints.c.size > _D.log_index)
    .order_by(checkpoints.c.size)
    .limit(1)
    .scalar_subquery()
    .label("checkpoint")
)
_RECORDED = select(
    _D.tenant,
    _D.idempotency_key,
    _D.caller,
    _D.request_sha256,
    _D.record,
    _D.log_index,
    entries.c.leaf_hash,
    _NOTE,
).join_from(decisions, entries)


def log_size(connection: Connection) -> int:
    """How many entries the log holds."""
    with driver_cursor(connection) as cursor:
        cursor.execute("SELECT max(log_index) FROM entries")
        (last,) = cursor.fetchone()
    return 0 if last is None else int(last) + 1


def newest_checkpoint(connection: Connection) -> tuple[int, str] | None:
    """Size and note of the newest checkpoint; None while the log is empty."""
    query = select(checkpoints.c.size, checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.size, row.note)


def checkpoint_of(connection: Connection, size: int) -> str | None:
    """The note signed when the log had `size` entries, if one was."""
    return connection.scalar(select(checkpoints.c.note).where(checkpoints.c.size == size))


def tile_hashes(connection: Connection, level: int, start: int, stop: int) -> list[bytes]:
    """The hashes from index `start` to before `stop` at a tile level."""
    if level == 0:
        index, query = entries.c.log_index, select(entries.c.leaf_hash)
    else:
        index, query = nodes.c.node_index, select(nodes.c.hash).where(nodes.c.level == level)
    rows = connection.scalars(query.where(index >= start, index < stop).order_by(index))
    return list(rows)


def entry_data(connection: Connection, start: int, stop: int) -> list[bytes]:
    """The entries from index `start` to before `stop`."""
    index = entries.c.log_index
    query = select(entries.c.data).where(index >= start, index < stop).order_by(index)
    return list(connection.scalars(query))


def load_tree(connection: Connection) -> GrowingTree:
    """The right edge of the log's tree."""
    size = log_size(connection)
    partial = []
    for level in range(levels(size)):
        stop = hashes_at(size, level)
        partial.append(tile_hashes(connection, level, stop - stop % TILE_WIDTH, stop))
    return GrowingTree.from_tiles(partial)


def taken(connection: Connection, keys: Iterable[Key]) -> set[Key]:
    """Those of some tenants' idempotency keys that led to a decision."""
    found = set[Key]()
    by_tenant: defaultdict[str, list[str]] = defaultdict(list)
    for tenant, key in keys:
        by_tenant[tenant].append(key)
    for tenant, asked in by_tenant.items():
        for block in blocks(asked):
            # By the driver's own words: every check asks, and hardly any key is taken.
            sql = _taken_sql(connection.dialect.name, len(block))
            found.update((tenant, key) for (key,) in connection.exec_driver_sql(sql, (tenant, *block)))
    return found


@lru_cache(16)
def _taken_sql(dialect: str, keys: int) -> str:
    mark = placeholder(dialect)
    return (
        "SELECT idempotency_key FROM decisions WHERE idempotency_key != '' "  # noqa: S608 - nothing but marks
        f"AND tenant = {mark} AND idempotency_key IN ({', '.join([mark] * keys)})"
    )


def recorded_by_keys(connection: Connection, keys: Iterable[Key], origin: str) -> dict[Key, Recorded]:
    """The decisions that tenants' idempotency keys led to; keys without one are left out."""
    wanted = taken(connection, keys)
    if not wanted:
        return {}
    # Two IN lists, not one of pairs: SQLite answers pairs by scanning the whole index.
    query = _RECORDED.where(
        _HAS_KEY,
        _D.tenant.in_({tenant for tenant, _ in wanted}),
        _D.idempotency_key.in_({key for _, key in wanted}),
    )
    rows = connection.execute(query).all()
    return {
        key: _recorded(row, origin) for row in rows if (key := (row.tenant, row.idempotency_key)) in wanted
    }


def recorded_by_check(connection: Connection, tenant: str, check_id: str, origin: str) -> Recorded | None:
    """A tenant's decision by its check."""
    condition: ColumnElement[bool] = (_D.check_id == check_id) & (_D.tenant == tenant)
    row = connection.execute(_RECORDED.where(condition, _IS_THERE)).one_or_none()
    return None if row is None else _recorded(row, origin)


def place_of_check(connection: Connection, tenant: str, check_id: str, origin: str) -> CheckResponse | None:
    """Where the log holds a tenant's check, erased or not: an answer of nothing but that."""
    condition: ColumnElement[bool] = (_D.check_id == check_id) & (_D.tenant == tenant)
    row = connection.execute(_RECORDED.where(condition)).one_or_none()
    return None if row is None else _placed(CheckResponse(check_id=check_id), row, origin)


def answers_by_checks(
    connection: Connection, tenant: str, check_ids: Collection[str], origin: str
) -> dict[str, CheckResponse]:
    """A tenant's answers with their whole receipts, by their checks; what is not there is left out."""
    wanted = (_D.check_id.in_(check_ids)) & (_D.tenant == tenant)
    recorded = [_recorded(row, origin) for row in connection.execute(_RECORDED.where(wanted, _IS_THERE))]
    return {each.response.check_id: each.response for each in recorded}


def recorded_since(connection: Connection, tenant: str, after: int, most: int, origin: str) -> list[Recorded]:
    """A tenant's decisions behind the entry `after`, in the order of the log."""
    behind = (_D.tenant == tenant) & (_D.log_index > after) & _IS_THERE
    rows = connection.execute(_RECORDED.where(behind).order_by(_D.log_index).limit(most)).all()
    return [_recorded(row, origin) for row in rows]


def _recorded(row: Row[*tuple[Any, ...]], origin: str) -> Recorded:
    response = _placed(DecisionRecord.FromString(row.record).response, row, origin)
    return Recorded(row.request_sha256, response, row.caller)


def _placed(response: CheckResponse, row: Row[*tuple[Any, ...]], origin: str) -> CheckResponse:
    return with_receipt(
        response,
        origin=origin,
        log_index=row.log_index,
        leaf_hash=row.leaf_hash,
        checkpoint=row.checkpoint,
    )
