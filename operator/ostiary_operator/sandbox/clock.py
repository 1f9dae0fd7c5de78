"""Time as the cluster sees it: the machine's, or one that a simulation turns."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time in seconds since 1970."""

    def now(self) -> float:
        """The time."""
        ...


class RealClock:
    """The machine's clock, plus what a fault made it jump."""

    def __init__(self) -> None:
        self.skew = 0.0

    def now(self) -> float:
        """The time."""
        return time.time() + self.skew

    def jump(self, seconds: float) -> None:
        """Sets the clock forward, or back."""
        self.skew += seconds


class VirtualClock:
    """A clock that stands until it is turned."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """The time."""
        return self._now

    def turn_to(self, moment: float) -> None:
        """Turns the clock forward; never back."""
        self._now = max(self._now, moment)

    def jump(self, seconds: float) -> None:
        """Sets the clock forward, or back, as a fault does."""
        self._now += seconds
