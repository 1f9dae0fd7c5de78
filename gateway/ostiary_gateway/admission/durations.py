"""How long checks took lately, and how many of those in progress that lets end soon. Pure."""

import math
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable

_KEPT = 64
_SURE = 3.0  # standard deviations


class Durations:
    """The durations of the newest checks that ended, in seconds."""

    def __init__(self) -> None:
        self._newest: deque[float] = deque()
        self._sorted: list[float] = []

    @property
    def mean(self) -> float:
        """Of all that are kept; 0 where none is known yet."""
        return sum(self._sorted) / len(self._sorted) if self._sorted else 0.0

    def add(self, seconds: float) -> None:
        """A check has ended."""
        self._newest.append(seconds)
        insort(self._sorted, seconds)
        if len(self._newest) > _KEPT:
            del self._sorted[bisect_right(self._sorted, self._newest.popleft()) - 1]

    def ending(self, ages: Iterable[float], within: float) -> float:
        """How many checks of these ages, in seconds, end `within` so many seconds, as good as surely.

        Of those that took longer than a check's age, some took no more than `within` longer: their share is
        the chance that it ends. What is given is the mean of the number that end, less three times its
        standard deviation. So it holds for checks that all take the same time, and end together if they
        began together, as for those whose time nobody can foretell. One that is older than any that ended is
        not counted on.
        """
        mean = variance = 0.0
        for age in ages:
            longer = len(self._sorted) - (at := bisect_right(self._sorted, age))
            if longer:
                share = (bisect_right(self._sorted, age + within) - at) / longer
                mean += share
                variance += share * (1 - share)
        return mean - _SURE * math.sqrt(variance)
