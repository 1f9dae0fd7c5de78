"""How many checks may be in progress at once, found out from how long they take. Pure; time is given.

While pods keep up, more checks at once take no longer; when there are more than pods can look at, the surplus
only waits. Which of the two it is shows when fewer are let in for a moment: if checks then take less time by
nearly as much as fewer are let in, the surplus was waiting, and the limit stays down; if not, the pods work on
all of them (they look at several images at once, so each takes a little longer), and it goes back up. The
minimum round-trip time of Envoy's adaptive concurrency filter is found by the same means; comparing with a check
that is alone would never let a pod fill its batches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class LimiterSettings:
    """How the limit moves.

    Attributes:
        initial: limit to begin with.
        least: it never falls below.
        most: nor rises above.
        window: seconds between changes.
        growth: share of the limit that is added in each window in which it was needed; one at least.
        suspicion: how many times as long as before checks must take before the limit is put to the test.
        probe_share: share of the limit that is let in during the test.
        proof: how many times as long checks must have taken before it than in it: above, the limit stays down.
        probe_every: seconds after which a limit that is needed is put to the test in any case.
    """

    initial: int = 32
    least: int = 2
    most: int = 512
    window: float = 0.5
    growth: float = 0.08
    suspicion: float = 1.15
    probe_share: float = 0.7
    proof: float = 1.3
    probe_every: float = 30.0


@dataclass
class _Window:
    """What was seen since `begun`. `times`: seconds, by kind; `busiest`: most checks in progress."""

    begun: float
    times: dict[str, list[float]] = field(default_factory=dict)
    busiest: int = 0

    def typical(self) -> dict[str, float]:
        """Median seconds by kind."""
        return {kind: median(times) for kind, times in self.times.items()}


class GradientLimiter:
    """The limit. Tell it of every check that ended."""

    _SAMPLES = 8  # a window goes on until so many checks have ended

    def __init__(self, settings: LimiterSettings, now: float) -> None:
        """`now`: seconds, on the clock that `learn` is given."""
        self._settings = settings
        self._limit = float(settings.initial)
        self._window = _Window(now)
        self._known: Mapping[str, float] = {}  # what checks take while the limit is not in doubt
        self._doubted: Mapping[str, float] | None = None  # what they took before the test that is going on
        self._settling = False  # what ends in the test's first window began before it
        self._tested_at = now

    @property
    def limit(self) -> int:
        """How many checks may be in progress now."""
        share = 1.0 if self._doubted is None else self._settings.probe_share
        return max(self._settings.least, int(self._limit * share))

    def learn(self, kind: str, seconds: float, in_progress: int, now: float) -> None:
        """A check of a kind took so long, and so many were in progress when it ended, itself included."""
        window = self._window
        window.times.setdefault(kind, []).append(seconds)
        window.busiest = max(window.busiest, in_progress)
        ended = sum(map(len, window.times.values()))
        if now - window.begun >= self._settings.window and ended >= self._SAMPLES:
            self._window = _Window(now)
            self._turn(window, now)

    def _turn(self, window: _Window, now: float) -> None:
        if self._doubted is not None:
            self._conclude(window, now)
            return
        # A limit that nobody reaches says nothing about what could be carried.
        if window.busiest < self._limit * 0.75:
            return
        typical = window.typical()
        if not self._known:
            self._known = typical
        slower = _ratio(typical, self._known)
        if slower > self._settings.suspicion or now - self._tested_at >= self._settings.probe_every:
            self._doubted, self._settling = typical, True
            return
        grown = self._limit + max(1.0, self._limit * self._settings.growth)
        self._limit = min(float(self._settings.most), grown)

    def _conclude(self, window: _Window, now: float) -> None:
        if self._settling:
            self._settling = False
            return
        before, self._doubted = self._doubted or {}, None
        within = window.typical()
        self._tested_at = now
        if _ratio(before, within) > self._settings.proof:
            self._limit = max(float(self._settings.least), self._limit * self._settings.probe_share)
            self._known = within
        else:
            self._known = before


def _ratio(times: Mapping[str, float], others: Mapping[str, float]) -> float:
    """How many times as long checks take, each compared with its like (geometric mean); 1 without likes."""
    logs = [
        math.log(seconds / others[kind])
        for kind, seconds in times.items()
        if seconds > 0 and others.get(kind, 0) > 0
    ]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0
