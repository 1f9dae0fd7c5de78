"""What waits to be written somewhere, the newest of each key."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Outgoing(Generic[K, V]):
    """Written one after the other: what is put meanwhile takes the place of what waits under its key. For one
    event loop.
    """

    def __init__(self, write: Callable[[K, V], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: dict[K, V] = {}
        self._woken = asyncio.Event()

    def put(self, key: K, value: V) -> None:
        """Have this written."""
        self._waiting[key] = value
        self._woken.set()

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                await self._write(*self._waiting.popitem())
