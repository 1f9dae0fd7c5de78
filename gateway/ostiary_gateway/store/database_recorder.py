"""The recorder over the record's database."""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import EventRecord
from ostiary_gateway.case_log import RecordedEvent
from ostiary_gateway.recorder import NewDecision, Recorded
from ostiary_gateway.store import queries
from ostiary_gateway.store.database import unavailable
from ostiary_gateway.store.grouped import GroupedLookups
from ostiary_gateway.store.rows import prepare, prepare_event
from ostiary_gateway.store.writer import Writer
from ostiary_gateway.times import utc_now

T = TypeVar("T")


class DatabaseRecorder:
    """A `Recorder` and `CaseLog` that writes through one `Writer` and reads beside it."""

    def __init__(
        self,
        writer: Writer,
        readers: Engine,
        threads: Executor,
        origin: str,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`readers` starts transactions with BEGIN, on `threads`; `origin` is the log's; `clock` gives aware
        times.
        """
        self._writer = writer
        self._readers = readers
        self._threads = threads
        self._origin = origin
        self._clock = clock
        self._by_key = GroupedLookups(self._recorded_by_keys)

    async def record(self, new: NewDecision) -> CheckResponse:
        """See `Recorder.record`. Raises ValueError where the check id is on record already."""
        return await self._writer.submit(prepare(new, self._clock()))

    async def append(self, event: EventRecord, *, after: int | None = None) -> RecordedEvent:
        """See `CaseLog.append`."""
        return await self._writer.submit(prepare_event(event, after, self._clock()))

    async def find(self, tenant: str, idempotency_key: str) -> Recorded | None:
        """See `Recorder.find`."""
        if not idempotency_key:
            return None
        return await self._by_key.get((tenant, idempotency_key))

    async def get(self, tenant: str, check_id: str) -> Recorded | None:
        """See `Recorder.get`."""
        return await self._read(
            lambda asked: queries.recorded_by_check(asked, tenant, check_id, self._origin)
        )

    async def since(self, tenant: str, after: int, most: int) -> list[Recorded]:
        """See `Recorder.since`."""
        return await self._read(
            lambda asked: queries.recorded_since(asked, tenant, after, most, self._origin)
        )

    async def last(self) -> int:
        """See `Recorder.last`."""
        return await self._read(queries.log_size) - 1

    async def _recorded_by_keys(self, keys: Collection[queries.Key]) -> dict[queries.Key, Recorded]:
        return await self._read(lambda asked: queries.recorded_by_keys(asked, keys, self._origin))

    async def _read(self, ask: Callable[[Connection], T]) -> T:
        """What a query finds, on a thread of the readers'."""

        def read() -> T:
            with self._readers.connect() as connection:
                return ask(connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, read)
        except SQLAlchemyError as error:
            raise unavailable(error) from error
