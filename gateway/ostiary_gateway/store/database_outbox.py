"""The outbox of appeals' outcomes in the record's database."""

from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager

from sqlalchemy import Connection, Engine, delete, select, update

from ostiary.v1.record_pb2 import EventRecord
from ostiary_gateway.review.callbacks import Notice
from ostiary_gateway.store.database import Store, open_engine, transact
from ostiary_gateway.store.schema import appeals, case_events

_A = appeals.c


class DatabaseOutbox:
    """An `Outbox` that several processes may share: each transaction locks the database first."""

    def __init__(self, engine: Engine, thread: Executor) -> None:
        """`engine` starts transactions with BEGIN IMMEDIATE, on `thread`."""
        self._engine = engine
        self._thread = thread

    async def claim(self, now_us: int, until_us: int, most: int) -> list[Notice]:
        """See `Outbox.claim`."""

        def claim(connection: Connection) -> list[Notice]:
            query = (
                select(_A.appeal_id, _A.callback_uri, _A.attempts, case_events.c.record)
                .join_from(appeals, case_events, case_events.c.log_index == _A.ruled_in)
                .where(_A.due_us <= now_us)
                .order_by(_A.due_us)
                .limit(most)
            )
            rows = connection.execute(query).all()
            if rows:
                mine = _A.appeal_id.in_([row.appeal_id for row in rows])
                connection.execute(update(appeals).where(mine).values(due_us=until_us))
            return [
                Notice(row.appeal_id, row.callback_uri, EventRecord.FromString(row.record), row.attempts)
                for row in rows
            ]

        return await transact(self._engine, self._thread, claim)

    async def postpone(self, appeal_id: str, due_us: int) -> None:
        """See `Outbox.postpone`."""
        change = (
            update(appeals).where(_A.appeal_id == appeal_id).values(due_us=due_us, attempts=_A.attempts + 1)
        )
        await transact(self._engine, self._thread, lambda connection: connection.execute(change))

    async def remove(self, appeal_id: str) -> None:
        """See `Outbox.remove`."""
        gone = delete(appeals).where(_A.appeal_id == appeal_id)
        await transact(self._engine, self._thread, lambda connection: connection.execute(gone))


@asynccontextmanager
async def open_outbox(store: Store) -> AsyncIterator[DatabaseOutbox]:
    """The outbox in a store that `open_recorder` has opened."""
    engine = open_engine(store, begin="BEGIN IMMEDIATE")
    try:
        # The threads end first: what they hold then is back where it is closed.
        with ThreadPoolExecutor(1, thread_name_prefix="outbox") as thread:
            yield DatabaseOutbox(engine, thread)
    finally:
        engine.dispose()
