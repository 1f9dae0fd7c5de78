"""Who is looked at when: checks in the order in which they came, so many at once, within so much memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ostiary.wire.errors import OstiaryError, Reason

_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """How much a pod takes on."""

    max_in_flight: int = 32
    """Checks that have their turn at once."""

    max_queued: int = 64
    """Checks that may wait for one; more are refused, with a time to retry after."""

    max_bytes: int = 256 << 20
    """Bytes of images, encoded and decoded, that the checks in flight hold together. One check alone may hold
    more."""


@dataclass(eq=False, slots=True)
class Turn:
    """One check's turn: what it holds of the memory, and what it waits for."""

    _turns: "Turns"
    held: int = 0
    """Bytes."""
    _asked: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)

    def begin(self, size: int) -> None:
        """Count what the check has brought along, and fix its place among those that take memory.

        Checks must begin in the order in which their images go to the decoders: the oldest always gets what
        it asks for, so it must never wait for a decoder that a younger one keeps.
        """
        self._turns.begin(self, size)

    async def take(self, size: int) -> None:
        """Wait until there is room for so many bytes more. At once if this is the oldest turn, or over."""
        await self._turns.take(self, size)

    def give_back(self, size: int) -> None:
        """Let go of so many bytes before the turn is over."""
        self._turns.give_back(self, size)


class Turns:
    """The line of checks, first come, first served. For one event loop."""

    def __init__(self, limits: TurnLimits | None = None) -> None:
        self._limits = limits or TurnLimits()
        self._line: deque[asyncio.Future[Turn]] = deque()
        self._inside: set[Turn] = set()
        # Those that have begun, oldest first.
        self._begun: dict[Turn, None] = {}
        self._bytes = 0

    @property
    def queued(self) -> int:
        """Checks that wait for their turn."""
        return len(self._line)

    @property
    def in_flight(self) -> int:
        """Checks that have their turn."""
        return len(self._inside)

    @property
    def bytes_held(self) -> int:
        """Bytes that the checks in flight hold."""
        return self._bytes

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait in line, then have a turn. One that goes away while waiting leaves the line.

        Raises OstiaryError(OVERLOADED) where too many wait.
        """
        turn = await self._enter()
        try:
            yield turn
        finally:
            self._leave(turn)

    async def _enter(self) -> Turn:
        if len(self._line) >= self._limits.max_queued and not self._is_free():
            full = f"{self.queued} checks wait already: try another pod, or later"
            raise OstiaryError(Reason.OVERLOADED, full, retry_after=_RETRY_SECONDS)
        place: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        self._advance()
        try:
            return await place
        except asyncio.CancelledError:
            # It may have been given its turn and been cancelled in the same moment.
            if not place.cancelled():
                self._leave(place.result())
            elif place in self._line:
                self._line.remove(place)
            raise

    def _leave(self, turn: Turn) -> None:
        self._inside.discard(turn)
        self._begun.pop(turn, None)
        self._bytes -= turn.held
        turn.held = 0
        for _, granted in turn._asked:
            if not granted.done():
                granted.set_result(None)
        turn._asked.clear()
        self._advance()

    def begin(self, turn: Turn, size: int) -> None:
        """See `Turn.begin`."""
        self._begun[turn] = None
        self._hold(turn, size)

    async def take(self, turn: Turn, size: int) -> None:
        """See `Turn.take`."""
        if turn not in self._begun:
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turn._asked.append((size, granted))
        self._advance()
        await granted

    def give_back(self, turn: Turn, size: int) -> None:
        """See `Turn.give_back`."""
        self._hold(turn, -min(size, turn.held))
        self._advance()

    def _hold(self, turn: Turn, size: int) -> None:
        turn.held += size
        self._bytes += size

    def _is_free(self) -> bool:
        """Whether one more may have its turn: one always may."""
        room = len(self._inside) < self._limits.max_in_flight and self._bytes < self._limits.max_bytes
        return room or not self._inside

    def _advance(self) -> None:
        """Give what can be given, the oldest first: nobody is overtaken by one who wants less."""
        oldest = next(iter(self._begun), None)
        for turn in self._begun:
            if not self._grant(turn, always=turn is oldest):
                break
        while self._line and self._is_free():
            place = self._line.popleft()
            if not place.cancelled():
                turn = Turn(self)
                self._inside.add(turn)
                place.set_result(turn)

    def _grant(self, turn: Turn, *, always: bool) -> bool:
        """Give a turn what it asked for; whether it now has all of it."""
        while turn._asked:
            size, granted = turn._asked[0]
            if not granted.done():
                if not always and self._bytes + size > self._limits.max_bytes:
                    return False
                self._hold(turn, size)
                granted.set_result(None)
            turn._asked.popleft()
        return True
