"""Writes to the log in batches: what waits goes into one transaction, and nobody hears before it commits."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, overload

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ostiary.tlog.growth import GrowingTree
from ostiary.tlog.note import SignerKey
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.case_log import RecordedEvent
from ostiary_gateway.store import queries
from ostiary_gateway.store.append import Item, Outcome, append
from ostiary_gateway.store.database import unavailable
from ostiary_gateway.store.rows import Prepared, PreparedEvent

LOG = structlog.get_logger("ostiary.store")
MAX_BATCH = 1024


class Pending(NamedTuple):
    """A decision or an event on its way, and the future that its caller waits on."""

    item: Item
    outcome: "asyncio.Future[Any]"

    def settle(self, outcome: Outcome) -> None:
        """Tell the caller, unless it has gone."""
        if self.outcome.done():
            return
        if isinstance(outcome, BaseException):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


class Writer:
    """The one task of a process that writes to the log, each batch in one go on a thread of its own.

    Other processes may write to the same database: each transaction locks it first, and starts from what it
    then finds.
    """

    def __init__(self, engine: Engine, key: SignerKey, committed: Callable[[], None]) -> None:
        """`engine` starts transactions with BEGIN IMMEDIATE; `committed` is called after each commit."""
        self._engine = engine
        self._key = key
        self._committed = committed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._queue: asyncio.Queue[Pending | None] = asyncio.Queue()
        self._tree: GrowingTree | None = None
        self._failing = False
        self._closed = False

    @overload
    def submit(self, item: Prepared) -> "asyncio.Future[CheckResponse]": ...

    @overload
    def submit(self, item: PreparedEvent) -> "asyncio.Future[RecordedEvent]": ...

    def submit(self, item: Item) -> "asyncio.Future[Any]":
        """Queue a decision or an event; the future resolves once it is durable.

        Raises OstiaryError once closed.
        """
        if self._closed:
            raise OstiaryError(Reason.STORE_UNAVAILABLE, "the record is closed")
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(Pending(item, outcome))
        return outcome

    def close(self) -> None:
        """Take no more; `run` returns when what waits is written."""
        self._closed = True
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Write until closed."""
        while (first := await self._queue.get()) is not None:
            batch = [first]
            while len(batch) < MAX_BATCH and not self._queue.empty():
                pending = self._queue.get_nowait()
                if pending is None:
                    self._queue.put_nowait(None)
                    break
                batch.append(pending)
            await self._settle(batch)
        self._thread.shutdown()

    async def _settle(self, batch: Sequence[Pending]) -> None:
        """Write a batch and tell its callers how it went."""
        try:
            items = [pending.item for pending in batch]
            outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, self.write, items)
        except IntegrityError as error:
            await self._settle_apart(batch, error)
            return
        except Exception as error:
            await self._fail(batch, error)
            return
        self._recovered()
        for pending, outcome in zip(batch, outcomes, strict=True):
            pending.settle(outcome)
        self._committed()

    async def _settle_apart(self, batch: Sequence[Pending], error: IntegrityError) -> None:
        """One of them broke a constraint: only its own caller is to suffer."""
        if len(batch) == 1:
            check_id = batch[0].item.check_id
            batch[0].settle(ValueError(f"check {check_id} cannot be recorded: {error.orig}"))
            return
        for pending in batch:
            await self._settle([pending])

    async def _fail(self, batch: Sequence[Pending], error: Exception) -> None:
        """Nothing of the batch is durable; the next one starts on fresh connections."""
        if not self._failing:
            LOG.error("store failed", error=str(error), waiting=len(batch))
        self._failing, self._tree = True, None
        for pending in batch:
            pending.settle(unavailable(error))
        try:
            self._engine.dispose()
        except SQLAlchemyError as again:
            LOG.warning("closing the store failed", error=str(again))

    def _recovered(self) -> None:
        if self._failing:
            LOG.info("store recovered")
        self._failing = False

    def write(self, batch: Sequence[Item]) -> list[Outcome]:
        """Commit a batch, and block meanwhile; what becomes of each of it, in order."""
        with self._engine.begin() as connection:
            tree = self._current_tree(connection)
            outcomes = append(connection, tree, self._key, batch)
        self._tree = tree
        return outcomes

    def _current_tree(self, connection: Connection) -> GrowingTree:
        """A tree to grow; read anew after a failure, and where another process has written."""
        size = queries.log_size(connection)
        if self._tree is None or self._tree.size != size:
            return queries.load_tree(connection)
        return self._tree.copy()
