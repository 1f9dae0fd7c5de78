"""The recorder over SQLite."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary_gateway.recorder import NewDecision, Recorded
from ostiary_gateway.store import queries
from ostiary_gateway.store.database import unavailable
from ostiary_gateway.store.rows import prepare
from ostiary_gateway.store.writer import Writer


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class SqliteRecorder:
    """A `Recorder` that writes through one `Writer` and reads beside it."""

    def __init__(
        self, writer: Writer, readers: AsyncEngine, origin: str, clock: Callable[[], datetime] = utc_now
    ) -> None:
        """`readers` starts transactions with BEGIN; `origin` is the log's; `clock` gives aware times."""
        self._writer = writer
        self._readers = readers
        self._origin = origin
        self._clock = clock

    async def record(self, new: NewDecision) -> CheckResponse:
        """See `Recorder.record`. Raises ValueError where the check id is on record already."""
        return await self._writer.submit(prepare(new, self._clock()))

    async def find(self, tenant: str, idempotency_key: str) -> Recorded | None:
        """See `Recorder.find`."""
        if not idempotency_key:
            return None
        key = (tenant, idempotency_key)
        async with self._reading() as connection:
            found = await connection.run_sync(queries.recorded_by_keys, [key], self._origin)
        return found.get(key)

    async def get(self, tenant: str, check_id: str) -> Recorded | None:
        """See `Recorder.get`."""
        async with self._reading() as connection:
            return await connection.run_sync(queries.recorded_by_check, tenant, check_id, self._origin)

    async def since(self, tenant: str, after: int, most: int) -> list[Recorded]:
        """See `Recorder.since`."""
        async with self._reading() as connection:
            return await connection.run_sync(queries.recorded_since, tenant, after, most, self._origin)

    async def last(self) -> int:
        """See `Recorder.last`."""
        async with self._reading() as connection:
            return await connection.run_sync(queries.log_size) - 1

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._readers.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise unavailable(error) from error
