"""Keeps the index of cases up with the log, beside whoever records and searches."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ostiary_gateway.background import ended
from ostiary_gateway.store import case_index, queries
from ostiary_gateway.store.database import Store, open_engine

LOG = structlog.get_logger("ostiary.store")
_INTERVAL = 1.0
# For each second of work, so many without: decisions come first.
_REST = 2.0
_TOLD_EVERY = 50
MOST_RECORDED = 500
"""Entries a second, above which the processor is left to whoever records."""


class Pace:
    """Tells when so much is recorded that the index waits: what is not in it is found all the same."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._seen: tuple[float, int] | None = None

    def busy(self, now: float, size: int) -> bool:
        """Whether more than `MOST_RECORDED` entries a second came since it was last asked.

        `now` is in seconds; `size` is how many entries the log has then.
        """
        seen, self._seen = self._seen, (now, size)
        return seen is not None and size - seen[1] > MOST_RECORDED * (now - seen[0])


class CaseIndexer:
    """Indexes a block of the log as soon as it is full, and those of an older store one after the other.

    Several gateways may do so over one store: what one has written the others find there.
    """

    def __init__(self, readers: Engine, writers: Engine, thread: Executor) -> None:
        """Engines that start transactions with BEGIN and BEGIN IMMEDIATE; each block is made on `thread`."""
        self._readers = readers
        self._writers = writers
        self._thread = thread

    async def run(self, interval: float = _INTERVAL) -> None:
        """Index until cancelled; looks for a full block every `interval` seconds."""
        loop, pace, done = asyncio.get_running_loop(), Pace(), 0
        while True:
            began, left = time.monotonic(), None
            try:
                if not pace.busy(began, await loop.run_in_executor(self._thread, self._size)):
                    left = await loop.run_in_executor(self._thread, self.index_next)
            except SQLAlchemyError as error:
                LOG.warning("the search index goes on later", error=str(error))
            if left is None:
                done = 0
                await asyncio.sleep(interval)
                continue
            done += 1
            if done > 1 and (left == 0 or done % _TOLD_EVERY == 0):
                LOG.info("search index", blocks=done, left=left)
            await asyncio.sleep(_REST * (time.monotonic() - began))

    def _size(self) -> int:
        with self._readers.connect() as connection:
            return queries.log_size(connection)

    def index_next(self) -> int | None:
        """Index the next block that is full, and block meanwhile; how many are left, None: there was none.

        Raises SQLAlchemyError.
        """
        with self._readers.connect() as connection:
            number, full = case_index.indexed(connection), case_index.full(connection)
            if number >= full:
                return None
            found = case_index.read(connection, number)
        gathered = case_index.gather(number, found)
        with self._writers.begin() as connection:
            written = case_index.write(connection, gathered)
        return full - number - written


@asynccontextmanager
async def indexing(store: Store) -> AsyncIterator[None]:
    """Cases of a store that `open_recorder` has opened are indexed meanwhile, unless PostgreSQL does that."""
    if isinstance(store, str):
        yield
        return
    async with open_indexer(store) as indexer:
        task = asyncio.create_task(indexer.run(), name="indexing")
        try:
            yield
        finally:
            await ended(task)


@asynccontextmanager
async def open_indexer(store: Path) -> AsyncIterator[CaseIndexer]:
    """The indexer of an SQLite store that `open_recorder` has opened."""
    readers, writers = open_engine(store, begin="BEGIN"), open_engine(store, begin="BEGIN IMMEDIATE")
    try:
        # The thread ends first: what it holds then is back where it is closed.
        with ThreadPoolExecutor(1, thread_name_prefix="index") as thread:
            yield CaseIndexer(readers, writers, thread)
    finally:
        readers.dispose()
        writers.dispose()
