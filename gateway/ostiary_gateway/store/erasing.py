"""Erasure in the tables; each function runs inside the caller's transaction.

The record is written once and never changed, with this one exception: the bytes of an erased check are
replaced by none, and its entry in the log stays.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, or_, select, update

from ostiary_gateway.review.erasing import WITH_TEXTS, Erasure
from ostiary_gateway.review.standing import ERASED
from ostiary_gateway.store import case_index
from ostiary_gateway.store.schema import (
    appeals,
    bulk_checks,
    case_events,
    case_terms,
    cases,
    decisions,
    erasures,
)

_D, _E, _Q = decisions.c, case_events.c, bulk_checks.c


def unfinished(connection: Connection, most: int) -> list[Erasure]:
    """Checks with a tombstone of which something may be left, the oldest first."""
    done = exists().where(erasures.c.check_id == _E.check_id)
    first = func.min(_E.log_index)
    query = (
        select(_E.tenant, _E.check_id, first)
        .where(_E.kind == ERASED, ~done)
        .group_by(_E.tenant, _E.check_id)
        .order_by(first)
        .limit(most)
    )
    return [Erasure(*row) for row in connection.execute(query)]


def since(connection: Connection, log_index: int) -> tuple[list[Erasure], int]:
    """Checks whose tombstones stand behind an entry, and the entry to go on from."""
    query = select(_E.tenant, _E.check_id, _E.log_index).where(_E.kind == ERASED, _E.log_index > log_index)
    rows = connection.execute(query).all()
    return [Erasure(*row) for row in rows], max((row.log_index for row in rows), default=log_index)


def submissions(connection: Connection, erasure: Erasure) -> list[str]:
    """Bulk submissions that the check answers, or would."""
    query = select(_Q.check_id).where(_of_same_work(erasure))
    return list(connection.scalars(query))


def shred(connection: Connection, erasure: Erasure) -> None:
    """Replace what the tables hold of a check by nothing."""
    connection.execute(delete(bulk_checks).where(_of_same_work(erasure)))
    mine = (_D.check_id == erasure.check_id) & (_D.tenant == erasure.tenant)
    index = connection.scalar(select(_D.log_index).where(mine))
    if index is not None:
        case_index.forget(connection, index)
    connection.execute(delete(case_terms).where(case_terms.c.log_index == index))
    connection.execute(delete(cases).where(cases.c.log_index == index))
    connection.execute(delete(appeals).where(appeals.c.check_id == erasure.check_id))
    texts = (_E.check_id == erasure.check_id) & _E.kind.in_(WITH_TEXTS)
    connection.execute(update(case_events).where(texts).values(salt=b"", record=b""))
    nothing = {"caller": "", "idempotency_key": "", "request_sha256": b"", "salt": b"", "record": b""}
    connection.execute(update(decisions).where(mine).values(nothing))


def finish(connection: Connection, done: Sequence[Erasure]) -> None:
    """Note that nothing is left of checks."""
    for erasure in done:
        known = connection.scalar(select(exists().where(erasures.c.check_id == erasure.check_id)))
        if not known:
            connection.execute(insert(erasures), {"check_id": erasure.check_id, "tenant": erasure.tenant})


def _of_same_work(erasure: Erasure) -> ColumnElement[bool]:
    key = (
        select(_D.idempotency_key)
        .where(_D.check_id == erasure.check_id, _D.tenant == erasure.tenant, _D.idempotency_key != "")
        .scalar_subquery()
    )
    same = or_(_Q.check_id == erasure.check_id, _Q.answered_by == erasure.check_id, _Q.idempotency_key == key)
    return (_Q.tenant == erasure.tenant) & same
