"""Whether the watches still tell what happens, seen from beside them. No I/O.

What a list finds and the watches have not told is waited for; so long as the API server answers, a watch that
does not tell it in time hangs. While the server is away nothing is held against anybody: to start again would
not bring it back. Written to from two event loops, read by a thread that answers probes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

SILENT_SECONDS = 180.0
"""For so long a watch may owe what a list has found: twice what it may be silent before it is made anew."""
STUCK_SECONDS = 15.0
"""For so long the watches' event loop may not turn."""


@dataclass(frozen=True)
class _Owed:
    version: int
    since: float


class Pulse:
    """One keeper's. `stream`: what one watch tells of, in words: a kind in a namespace."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: seconds, monotonic."""
        self._clock = clock
        self._beat: float | None = None
        self._owed: Mapping[str, _Owed] = {}

    def beat(self) -> None:
        """The watches' event loop turns; to be told every second."""
        self._beat = self._clock()

    def ended(self) -> None:
        """The watches have ended in order."""
        self._beat = None

    def listed(self, stream: str, missed: int, newest: int) -> None:
        """It was listed, too. `missed`: the newest version of an object that nobody had told of, or 0;
        `newest`: of all that there are.
        """
        before = self._owed.get(stream)
        if before is not None and newest >= before.version:
            return
        owed = {name: one for name, one in self._owed.items() if name != stream}
        # What was owed and is there no more is owed no more.
        self._owed = {**owed, stream: _Owed(missed, self._clock())} if missed else owed

    def told(self, stream: str, version: int) -> None:
        """A watch has told of an object at a version."""
        owed = self._owed.get(stream)
        if owed is not None and version >= owed.version:
            self._owed = {name: one for name, one in self._owed.items() if name != stream}

    def away(self) -> None:
        """The API server did not answer: whoever owes something has all its time again."""
        now = self._clock()
        self._owed = {name: _Owed(one.version, now) for name, one in self._owed.items()}

    def trouble(self) -> str:
        """What hangs, in words; empty: nothing does."""
        now = self._clock()
        if self._beat is not None and now - self._beat > STUCK_SECONDS:
            return f"the watches' event loop has not turned for {now - self._beat:.0f} s"
        for stream, owed in sorted(self._owed.items()):
            if now - owed.since > SILENT_SECONDS:
                return f"the watch of {stream} has told nothing for {now - owed.since:.0f} s"
        return ""
