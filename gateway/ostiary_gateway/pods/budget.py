"""How many calls may be second attempts: they help where one pod is down, and bury all where many are."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass
class _Second:
    """What began within one second."""

    number: int
    calls: int = 0
    retries: int = 0


class RetryBudget:
    """Second attempts may be a share of the calls of the last seconds, and some each second in any case.

    Finagle's budget, with its figures. It is over time, not over the calls in progress: a pod that dies
    leaves all of its calls behind at once, which may be half of those in progress, and nothing for long.
    """

    def __init__(self, share: float = 0.2, least_per_second: float = 10.0, window: int = 10) -> None:
        """`window`: how many seconds are looked back on."""
        self._share = share
        self._least = least_per_second * window
        self._window = window
        self._seconds: deque[_Second] = deque()

    def call(self, now: float) -> None:
        """Counts a call, whatever its attempts. `now`: seconds, on a clock that only goes forward."""
        self._second(now).calls += 1

    def retry(self, now: float) -> bool:
        """Whether one more attempt may be made; where it may, it is counted."""
        second = self._second(now)
        allowed = self._least + self._share * sum(each.calls for each in self._seconds)
        granted = sum(each.retries for each in self._seconds) + 1 <= allowed
        second.retries += granted
        return granted

    def _second(self, now: float) -> _Second:
        number = int(now)
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(_Second(number))
        while self._seconds[0].number <= number - self._window:
            self._seconds.popleft()
        return self._seconds[-1]
