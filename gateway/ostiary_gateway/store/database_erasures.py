"""What the record's database holds of erased checks, and how it goes without a trace."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.review.erasing import Erasure
from ostiary_gateway.store import erasing
from ostiary_gateway.store.database import Store, open_engine, unavailable

T = TypeVar("T")
# Seconds before each attempt at the write-ahead log; beside them each waits for readers (`database.py`).
_PAUSES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)


class DatabaseErasures:
    """`Erasures`: tables are shredded in one transaction, and the write-ahead log is emptied behind it.

    Connections delete securely (`database.py`): what is deleted or overwritten is zeros in the file. What the
    write-ahead log still holds goes once it is copied over and cut to nothing.
    """

    def __init__(self, engine: Engine, thread: Executor) -> None:
        """`engine` starts transactions with BEGIN IMMEDIATE, on `thread`."""
        self._engine = engine
        self._thread = thread

    async def unfinished(self, most: int) -> list[Erasure]:
        """See `Erasures.unfinished`."""
        return await self._in_thread(self._ask, lambda asked: erasing.unfinished(asked, most))

    async def since(self, log_index: int) -> tuple[list[Erasure], int]:
        """See `Erasures.since`."""
        return await self._in_thread(self._ask, lambda asked: erasing.since(asked, log_index))

    async def submissions(self, erasure: Erasure) -> list[str]:
        """See `Erasures.submissions`."""
        return await self._in_thread(self._ask, lambda asked: erasing.submissions(asked, erasure))

    async def complete(self, erasures: Sequence[Erasure]) -> None:
        """See `Erasures.complete`."""
        await self._in_thread(self._complete, erasures)

    def _complete(self, erasures: Sequence[Erasure]) -> None:
        with self._engine.begin() as connection:
            for erasure in erasures:
                erasing.shred(connection, erasure)
        if self._engine.dialect.name == "sqlite":
            self._empty_log()
        with self._engine.begin() as connection:
            erasing.finish(connection, erasures)

    def _empty_log(self) -> None:
        """Cut the write-ahead log to nothing, which waits for all who read and write. Raises OstiaryError."""
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            for pause in _PAUSES:
                # Where another connection copies it over just now, SQLite does not wait, and says so.
                time.sleep(pause)
                if not cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    return
        finally:
            connection.close()
        words = "the record is read without a pause: the check is erased, but for the write-ahead log"
        raise OstiaryError(Reason.STORE_UNAVAILABLE, words)

    def _ask(self, ask: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return ask(connection)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except SQLAlchemyError as error:
            raise unavailable(error) from error


@asynccontextmanager
async def open_erasures(store: Store) -> AsyncIterator[DatabaseErasures]:
    """The erasures of a store that `open_recorder` has opened."""
    engine = open_engine(store, begin="BEGIN IMMEDIATE")
    try:
        # The threads end first: what they hold then is back where it is closed.
        with ThreadPoolExecutor(1, thread_name_prefix="erasing") as thread:
            yield DatabaseErasures(engine, thread)
    finally:
        engine.dispose()
