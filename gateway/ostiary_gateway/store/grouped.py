"""Look-ups in groups: what waits goes into one query."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class GroupedLookups(Generic[K, V]):
    """Answers look-ups by key, those that come in while others are asked in the next query.

    A key is looked up after its caller has asked, never before: what was there by then is found. For one
    event loop.
    """

    def __init__(
        self, ask: Callable[[Collection[K]], Awaitable[Mapping[K, V]]], *, at_once: int = 2, most: int = 256
    ) -> None:
        """`ask` finds what there is of some keys; `at_once` queries of `most` keys run at a time."""
        self._ask = ask
        self._at_once = at_once
        self._most = most
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._running: set[asyncio.Task[None] | None] = set()

    async def get(self, key: K) -> V | None:
        """What there is of `key`; None where there is nothing. Raises what `ask` raises."""
        found: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, found))
        if len(self._running) < self._at_once:
            self._running.add(asyncio.create_task(self._run()))
        return await found

    async def _run(self) -> None:
        """Ask until nothing waits."""
        try:
            await self._ask_all()
        finally:
            # Now, and not in a callback: whoever comes before that ran would wait for a task that has ended.
            self._running.discard(asyncio.current_task())

    async def _ask_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                found = await self._ask({key for key, _ in group})
            except Exception as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for key, future in group:
                if not future.done():
                    future.set_result(found.get(key))
