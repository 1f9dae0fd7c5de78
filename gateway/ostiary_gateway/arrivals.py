"""How many checks a second come in, over the last half minute. Pure."""

from collections import deque
from collections.abc import Callable

_BUCKETS = 30


class Arrivals:
    """Counts what came in, second by second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._clock = clock
        self._began = clock()
        self._counts: deque[tuple[int, int]] = deque(maxlen=_BUCKETS)

    def one(self) -> None:
        """Another check."""
        second = int(self._clock())
        count = 0
        if self._counts and self._counts[-1][0] == second:
            count = self._counts.pop()[1]
        self._counts.append((second, count + 1))

    def per_second(self) -> float:
        """The mean of the last half minute, or of as long as there has been."""
        now = self._clock()
        recent = sum(count for second, count in self._counts if now - second <= _BUCKETS)
        return recent / max(1.0, min(float(_BUCKETS), now - self._began))
