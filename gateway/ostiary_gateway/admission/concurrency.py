"""How many checks may be in progress at once, found out from how long they take. Pure; time is given.

While pods keep up, more checks at once take no longer; when there are more than pods can look at, the
surplus only waits. Which of the two it is shows when fewer are let in for a moment: if checks then take less
time by nearly as much as fewer are let in, the surplus was waiting, and the limit stays down; if not, the
pods work on all of them (they look at several images at once, so each takes a little longer), and it goes
back up. Envoy's adaptive concurrency filter finds its minimum round-trip time by the same means; comparing
with a check that is alone would never let a pod fill its batches.
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
        window: fewest seconds between changes.
        growth: share of the limit that is added each time that it was needed; one at least.
        suspicion: how many times as long as before checks must take before the limit is put to the test.
        probe_share: share of the limit that is let in during the test.
        proof: share of what a queue alone would make checks slower by, at which the limit stays down.
        probe_every: seconds after which a limit that is needed is put to the test in any case.
    """

    initial: int = 32
    least: int = 2
    most: int = 512
    window: float = 0.5
    growth: float = 0.08
    suspicion: float = 1.15
    probe_share: float = 0.7
    proof: float = 0.6
    probe_every: float = 30.0


@dataclass
class _Phase:
    """A time with one limit. Only checks that began in it say anything about that limit.

    `begun`: when, in seconds; None: not yet, because what was let in before is still too much. `ended`: by
    kind, when checks ended and how many seconds they took; `busiest`: most checks in progress.
    """

    begun: float | None
    ended: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    busiest: int = 0

    def typical(self, now: float) -> dict[str, float]:
        """Median seconds by kind in the phase's later half: in the earlier one queues were still filling."""
        half = ((self.begun or now) + now) / 2
        later = {kind: [took for at, took in ended if at >= half] for kind, ended in self.ended.items()}
        return {kind: median(took) for kind, took in later.items() if took}


class GradientLimiter:
    """The limit. Tell it of every check that ended."""

    _SAMPLES = 16  # checks that a phase needs to say anything

    def __init__(self, settings: LimiterSettings, now: float) -> None:
        """`now`: seconds, on the clock that `learn` is given."""
        self._settings = settings
        self._limit = float(settings.initial)
        self._phase = _Phase(now)
        self._known: Mapping[str, float] = {}  # what checks take while the limit is not in doubt
        self._doubted: Mapping[str, float] | None = None  # what they took before the test that is going on
        self._tested_at = now

    @property
    def limit(self) -> int:
        """How many checks may be in progress now."""
        return self._share(1.0 if self._doubted is None else self._settings.probe_share)

    def learn(self, kind: str, seconds: float, in_progress: int, now: float) -> None:
        """A check of a kind took so long, and so many were in progress when it ended, itself included."""
        phase = self._phase
        phase.busiest = max(phase.busiest, in_progress)
        if phase.begun is None:
            if in_progress - 1 <= self.limit:
                phase.begun = now
            return
        if now - seconds >= phase.begun:
            phase.ended.setdefault(kind, []).append((now, seconds))
        enough = sum(map(len, phase.ended.values())) >= self._SAMPLES
        if enough and now - phase.begun >= max(self._settings.window, 2 * seconds):
            self._turn(phase, now)

    def _share(self, share: float) -> int:
        return max(self._settings.least, int(self._limit * share))

    def _turn(self, phase: _Phase, now: float) -> None:
        self._phase = _Phase(now)
        typical = phase.typical(now)
        if self._doubted is not None:
            self._conclude(self._doubted, typical, now)
            return
        # A limit that nobody reaches says nothing about what could be carried.
        if phase.busiest < self._limit * 0.75:
            return
        new = self._known.keys().isdisjoint(typical)
        slower = _ratio(typical, self._known) > self._settings.suspicion
        if new or slower or now - self._tested_at >= self._settings.probe_every:
            self._test(typical)
            return
        grown = self._limit + max(1.0, self._limit * self._settings.growth)
        self._limit = min(float(self._settings.most), grown)

    def _test(self, before: Mapping[str, float]) -> None:
        self._doubted, self._phase = before, _Phase(None)

    def _conclude(self, before: Mapping[str, float], within: Mapping[str, float], now: float) -> None:
        self._doubted, self._tested_at = None, now
        by_queue = self._share(1.0) / self._share(self._settings.probe_share) - 1.0
        slower = _ratio(before, within) - 1.0
        if by_queue and slower > self._settings.proof * by_queue:
            self._limit = max(float(self._settings.least), self._limit * self._settings.probe_share)
            self._known = {**self._known, **within}
            if self._limit > self._settings.least:
                self._test(within)  # there may be more that only waits
        else:
            self._known = {**self._known, **before}


def _ratio(times: Mapping[str, float], others: Mapping[str, float]) -> float:
    """How many times as long checks take, each compared with its like (geometric mean); 1 without likes."""
    logs = [
        math.log(seconds / others[kind])
        for kind, seconds in times.items()
        if seconds > 0 and others.get(kind, 0) > 0
    ]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0
