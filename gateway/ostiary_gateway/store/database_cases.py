"""Cases and proofs over the record's database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ostiary_gateway.review.cases import Case, Line, Page, Place, Proof, Search, Settled
from ostiary_gateway.review.retention import Due, Keep
from ostiary_gateway.store import case_queries, due_queries, event_queries, export_queries
from ostiary_gateway.store.database import Store, open_engine, unavailable

T = TypeVar("T")
_READERS = 2  # a search may read much; checks have readers of their own


class DatabaseCases:
    """`Cases` and `Log`: each question in a transaction of its own, so that a proof is of one log."""

    def __init__(self, engine: Engine, threads: Executor, origin: str) -> None:
        """`engine` starts transactions with BEGIN, on `threads`; `origin` is the log's."""
        self._engine = engine
        self._threads = threads
        self._origin = origin

    async def search(self, search: Search) -> Page:
        """See `Cases.search`."""
        return await self._read(lambda asked: case_queries.search_cases(asked, search))

    async def get(self, tenant: str, check_id: str) -> Case | None:
        """See `Cases.get`."""
        return await self._read(
            lambda asked: case_queries.case_by_check(asked, tenant, check_id, self._origin)
        )

    async def lines(self, tenant: str, check_ids: Sequence[str]) -> Mapping[str, Line]:
        """See `Cases.lines`."""
        return await self._read(lambda asked: case_queries.lines(asked, tenant, check_ids))

    async def waiting(
        self,
        tenant: str,
        reviewer: str,
        now_us: int,
        most: int,
        *,
        leads: bool,
        without: Collection[str] = (),
    ) -> Sequence[Line]:
        """See `Cases.waiting`."""
        return await self._read(
            lambda asked: case_queries.waiting(
                asked, tenant, reviewer, now_us, most, leads=leads, without=without
            )
        )

    async def ruled_by(self, tenant: str, reviewer: str, check_ids: Collection[str]) -> set[str]:
        """See `Cases.ruled_by`."""
        return await self._read(lambda asked: event_queries.ruled_by(asked, tenant, reviewer, check_ids))

    async def overturned(self, now_us: int) -> Sequence[Settled]:
        """See `Settlements.overturned`."""
        return await self._read(lambda asked: event_queries.overturned(asked, now_us))

    async def whole(self, search: Search) -> tuple[list[Case], Place | None]:
        """See `WholeCases.whole`."""
        return await self._read(lambda asked: export_queries.whole_cases(asked, search, self._origin))

    async def due(self, keeps: Sequence[Keep], now_us: int, after: int, most: int) -> list[Due]:
        """See `DueCases.due`."""
        return await self._read(lambda asked: due_queries.due(asked, keeps, now_us, after, most))

    async def checkpoint(self) -> str:
        """See `Log.checkpoint`."""
        return (await self._read(case_queries.newest_note))[1]

    async def prove_inclusion(self, log_index: int, size: int) -> Proof:
        """See `Log.prove_inclusion`."""
        return await self._read(lambda asked: case_queries.inclusion(asked, log_index, size))

    async def prove_consistency(self, old_size: int, size: int) -> Proof:
        """See `Log.prove_consistency`."""
        return await self._read(lambda asked: case_queries.consistency(asked, old_size, size))

    async def _read(self, ask: Callable[[Connection], T]) -> T:
        def read() -> T:
            with self._engine.connect() as connection:
                return ask(connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, read)
        except SQLAlchemyError as error:
            raise unavailable(error) from error


@asynccontextmanager
async def open_cases(store: Store, origin: str) -> AsyncIterator[DatabaseCases]:
    """The cases of a store that `open_recorder` has opened."""
    engine = open_engine(store, begin="BEGIN", pool_size=_READERS)
    try:
        # The threads end first: what they hold then is back where it is closed.
        with ThreadPoolExecutor(_READERS, thread_name_prefix="cases") as threads:
            yield DatabaseCases(engine, threads, origin)
    finally:
        engine.dispose()
