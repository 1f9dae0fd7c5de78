"""The bulk queue in the record's database."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, UpdateBase, delete, func, insert, select, update

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.bulk.queue import Submission
from ostiary_gateway.store.database import Store, open_engine, transact
from ostiary_gateway.store.schema import bulk_checks
from ostiary_gateway.times import microseconds, utc_now

_Q = bulk_checks.c
_FULL_RETRY_SECONDS = 30.0
_FIELDS = (
    _Q.check_id,
    _Q.tenant,
    _Q.idempotency_key,
    _Q.request_sha256,
    _Q.caller,
    _Q.role,
    _Q.version_pin,
    _Q.attempts,
    _Q.answered_by,
)


class DatabaseBulkQueue:
    """A `BulkQueue` that several processes may share: each transaction locks the database first."""

    def __init__(
        self, engine: Engine, thread: Executor, most: int, clock: Callable[[], datetime] = utc_now
    ) -> None:
        """`engine` starts transactions with BEGIN IMMEDIATE, on `thread`; `most` may wait; `clock` gives
        aware times.
        """
        self._engine = engine
        self._thread = thread
        self._most = most
        self._clock = clock

    async def add(self, new: Submission) -> Submission:
        """See `BulkQueue.add`."""

        def add(connection: Connection) -> Submission:
            same_key = (_Q.tenant == new.tenant) & (_Q.idempotency_key == new.idempotency_key)
            held = connection.execute(select(*_FIELDS).where(same_key)).one_or_none()
            if held is not None:
                return _submission(held)
            waiting = connection.scalar(
                select(func.count()).select_from(bulk_checks).where(_Q.answered_by == "")
            )
            if (waiting or 0) >= self._most:
                words = f"{waiting:,} checks wait already, all that the queue takes: submit again later"
                raise OstiaryError(Reason.OVERLOADED, words, retry_after=_FULL_RETRY_SECONDS)
            connection.execute(insert(bulk_checks), self._row(new))
            return new

        return await transact(self._engine, self._thread, add)

    async def find(self, tenant: str, check_id: str) -> Submission | None:
        """See `BulkQueue.find`."""
        condition = (_Q.tenant == tenant) & (_Q.check_id == check_id)
        found = await transact(
            self._engine,
            self._thread,
            lambda connection: connection.execute(select(*_FIELDS).where(condition)).one_or_none(),
        )
        return None if found is None else _submission(found)

    async def claim(self, most: int, seconds: float) -> list[Submission]:
        """See `BulkQueue.claim`."""

        def claim(connection: Connection) -> list[Submission]:
            due = (
                select(*_FIELDS)
                .where(_Q.answered_by == "", _Q.due_us <= self._due_us(0))
                .order_by(_Q.created_us, _Q.check_id)
                .limit(most)
            )
            claimed = [_submission(row) for row in connection.execute(due).all()]
            if claimed:
                mine = _Q.check_id.in_([each.check_id for each in claimed])
                connection.execute(update(bulk_checks).where(mine).values(due_us=self._due_us(seconds)))
            return claimed

        return await transact(self._engine, self._thread, claim)

    async def postpone(self, check_id: str, seconds: float, *, failed: bool = False) -> None:
        """See `BulkQueue.postpone`."""
        values = {_Q.due_us: self._due_us(seconds), _Q.attempts: _Q.attempts + int(failed)}
        change = update(bulk_checks).where(_Q.check_id == check_id).values(values)
        await transact(self._engine, self._thread, lambda connection: connection.execute(change))

    async def finish(self, check_id: str, answered_by: str) -> None:
        """See `BulkQueue.finish`."""
        mine = _Q.check_id == check_id
        change: UpdateBase = delete(bulk_checks).where(mine)
        if answered_by != check_id:
            change = update(bulk_checks).where(mine).values(answered_by=answered_by)
        await transact(self._engine, self._thread, lambda connection: connection.execute(change))

    def _row(self, new: Submission) -> dict[str, Any]:
        return {**vars(new), "created_us": self._due_us(0), "due_us": 0}

    def _due_us(self, seconds: float) -> int:
        """Microseconds since 1970, so many seconds from now."""
        return microseconds(self._clock() + timedelta(seconds=seconds))


def _submission(row: Row[*tuple[Any, ...]]) -> Submission:
    return Submission(**row._mapping)


@asynccontextmanager
async def open_queue(store: Store, most: int) -> AsyncIterator[DatabaseBulkQueue]:
    """The queue in a store that `open_recorder` has opened."""
    engine = open_engine(store, begin="BEGIN IMMEDIATE")
    try:
        # The threads end first: what they hold then is back where it is closed.
        with ThreadPoolExecutor(1, thread_name_prefix="bulk") as thread:
            yield DatabaseBulkQueue(engine, thread, most)
    finally:
        engine.dispose()
