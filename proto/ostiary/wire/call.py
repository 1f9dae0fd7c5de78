"""What a handler gets instead of a gRPC context."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ostiary.wire.authorization import Principal
from ostiary.wire.identity import Peer

T = TypeVar("T")

# The request and response types are the handler's own; the descriptor says which of the four kinds it is.
Handler = Callable[[Any, "Call"], Awaitable[Any] | AsyncIterator[Any]]


@dataclass(frozen=True)
class Call:
    """One authorised call."""

    method: str
    """`/package.Service/Method`"""
    peer: Peer
    principal: Principal
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The caller's textual metadata; keys in lower case."""
    deadline: float | None = None
    """When the handler must be done, already trimmed, on `clock`; None: no deadline."""
    clock: Callable[[], float] = time.monotonic

    def remaining(self) -> float | None:
        """Seconds that the handler may still spend, at least 0; None: no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - self.clock())


@dataclass(frozen=True)
class Raw(Generic[T]):
    """A handler that takes the bytes of a request unparsed."""

    handler: T


class Body:
    """The body of a request that is still on its way: nothing of it is in memory before it is read."""

    def __init__(self, receive: Callable[[], Awaitable[bytes]]) -> None:
        self._receive = receive

    async def read(self) -> bytes:
        """The request's bytes, unparsed. Once."""
        return await self._receive()


@dataclass(frozen=True)
class Unread(Generic[T]):
    """A handler that takes a `Body` and reads it when it has room for it."""

    handler: T


def unread(handler: T) -> Unread[T]:
    """Marks a handler of single requests that decides for itself when the body is received."""
    return Unread(handler)


def raw(handler: T) -> Raw[T]:
    """Marks a handler that takes request bytes as they came over the wire."""
    return Raw(handler)
