"""How many checks may be in progress at once, found out from how long they take. Pure; time is given.

While pods keep up, more checks at once take no longer; when there are more than pods can look at, the
surplus only waits. Which of the two it is shows when fewer are let in for a moment: if checks then take less
time by nearly as much as fewer are let in, the surplus was waiting, and the limit stays down; if not, the
pods work on all of them (they look at several images at once, so each takes a little longer), and it goes
back up. Envoy's adaptive concurrency filter finds its minimum round-trip time by the same means; comparing
with a check that is alone would never let a pod fill its batches. How much times scatter says how many of
them are looked at: chance alone moves the limit as little as can be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

_LEAST_VARIANCE = 1e-9  # times that are all the same are not known more exactly than that


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
        probe_shares: shares of the limit that are let in during a test: the least where the limit is far from
            right, or nothing is known of it yet, the most where it is nearly right.
        proof: share of what a queue alone would make checks slower by, at which the limit stays down.
        probe_every: seconds after which a limit that is needed is put to the test in any case.
        samples: checks that are compared: at least, and at most, where their times scatter.
        sureness: standard errors that a comparison must be off the proof, for or against, before it counts;
            with most samples, none.
    """

    initial: int = 32
    least: int = 2
    most: int = 512
    window: float = 0.5
    growth: float = 0.08
    suspicion: float = 1.1
    probe_shares: tuple[float, float] = (0.5, 0.8)
    proof: float = 0.6
    probe_every: float = 30.0
    samples: tuple[int, int] = (16, 256)
    sureness: float = 1.5


@dataclass
class _Sample:
    """How long checks of one kind took: how many they were, their mean in seconds, and the sum of squares of
    what each was off it (Welford's recurrence).
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        off = seconds - self.mean
        self.mean += off / self.count
        self.squares += off * (seconds - self.mean)

    @property
    def variance(self) -> float:
        """Of the mean, relative to it: the square of the relative standard error."""
        if self.count < 2 or not self.mean:
            return math.inf
        return self.squares / (self.count - 1) / self.count / self.mean**2


_Samples = Mapping[str, _Sample]
"""By kind: each is compared with its like."""


@dataclass
class _Phase:
    """A time with one limit.

    `begun`: when, in seconds; None: not yet, because nothing has ended since, or what was let in before is
    still too much. `unsettled`: how many checks are to end before those that end were let in under this
    limit, as a rule. `samples`: of all that end afterwards, whenever they began: to count only those that
    began in the phase, too, would favour the quick ones. `busiest`: most checks in progress.
    """

    begun: float | None = None
    unsettled: int = 0
    samples: dict[str, _Sample] = field(default_factory=dict)
    busiest: int = 0

    @property
    def count(self) -> int:
        """Checks in the samples."""
        return sum(sample.count for sample in self.samples.values())


class GradientLimiter:
    """The limit. Tell it of every check that ended."""

    def __init__(self, settings: LimiterSettings, now: float) -> None:
        """`now`: seconds, on the clock that `learn` is given."""
        self._settings = settings
        self._limit = float(settings.initial)
        self._phase = _Phase()
        self._known: _Samples = {}  # what checks take while the limit is not in doubt
        self._doubted: _Samples | None = None  # what they took before the test that is going on
        self._tested_at = now
        self._probe_share = settings.probe_shares[0]

    @property
    def limit(self) -> int:
        """How many checks may be in progress now."""
        return self._share(1.0 if self._doubted is None else self._probe_share)

    def learn(self, kind: str, seconds: float, in_progress: int, now: float) -> None:
        """A check of a kind took so long, and so many were in progress when it ended, itself included."""
        phase = self._phase
        phase.busiest = max(phase.busiest, in_progress)
        if phase.begun is None:
            if in_progress - 1 <= self.limit:
                phase.begun, phase.unsettled = now, in_progress
            return
        if phase.unsettled:
            phase.unsettled -= 1
            return
        phase.samples.setdefault(kind, _Sample()).add(seconds)
        # As many as are in progress: pods that look at many at once keep all of a batch equally long.
        fewest = max(self._settings.samples[0], in_progress)
        if phase.count >= fewest and now - phase.begun >= self._settings.window:
            self._turn(phase, now)

    def _share(self, share: float) -> int:
        return max(self._settings.least, int(self._limit * share))

    def _turn(self, phase: _Phase, now: float) -> None:
        """Draw a conclusion from a phase, or let it go on where its times scatter too much for one."""
        if self._doubted is not None:
            self._conclude(self._doubted, phase, now)
        elif phase.busiest < self._limit * 0.75:
            # A limit that nobody reaches says nothing about what could be carried.
            self._phase = _Phase()
        elif not self._suspicious(phase, now):
            self._phase = _Phase()
            grown = self._limit + max(1.0, self._limit * self._settings.growth)
            self._limit = min(float(self._settings.most), grown)
        elif self._full(phase) or not self._by_queue or _error(phase.samples) <= self._log_proof / 3:
            self._test(phase.samples)

    def _suspicious(self, phase: _Phase, now: float) -> bool:
        """Whether the limit is to be put to the test."""
        slower, error = _compare(phase.samples, self._known)
        return (
            self._known.keys().isdisjoint(phase.samples)
            or slower - error > math.log(self._settings.suspicion)
            or now - self._tested_at >= self._settings.probe_every
        )

    def _test(self, before: _Samples) -> None:
        self._doubted, self._phase = before, _Phase()

    @property
    def _by_queue(self) -> float:
        """By how much a queue alone would make checks slower at the limit than within the test."""
        return self._share(1.0) / self._share(self._probe_share) - 1.0

    @property
    def _log_proof(self) -> float:
        return math.log1p(self._settings.proof * self._by_queue)

    def _full(self, phase: _Phase) -> bool:
        return phase.count >= self._settings.samples[1]

    def _conclude(self, before: _Samples, phase: _Phase, now: float) -> None:
        within = phase.samples
        slower, error = _compare(before, within)
        by_queue, beyond = self._by_queue, slower - self._log_proof
        if by_queue and abs(beyond) <= self._settings.sureness * error and not self._full(phase):
            return
        least, most = self._settings.probe_shares
        far = slower > math.log1p(0.9 * by_queue)  # a queue is all that it can have been: there is more of it
        tested = self._probe_share
        self._probe_share = max(least, tested**2) if by_queue and far else min(most, math.sqrt(tested))
        self._doubted, self._tested_at = None, now
        self._phase = _Phase()
        if by_queue and beyond > 0:
            self._limit = max(float(self._settings.least), self._limit * tested)
            self._known = {**self._known, **within}
            if self._limit > self._settings.least:
                self._test(within)  # there may be more that only waits
        else:
            self._known = {**self._known, **before}


def _error(samples: _Samples) -> float:
    """The relative standard error of what is known of all kinds together."""
    weights = sum(1.0 / max(sample.variance, _LEAST_VARIANCE) for sample in samples.values())
    return 1.0 / math.sqrt(weights) if weights else math.inf


def _compare(times: _Samples, others: _Samples) -> tuple[float, float]:
    """How many times as long checks take, each compared with its like, and the standard error of that; both
    are natural logarithms. A kind counts by how sure its own comparison is (inverse-variance weighting);
    without likes nothing is known.
    """
    log = weights = 0.0
    for kind in times.keys() & others.keys():
        sample, other = times[kind], others[kind]
        if sample.mean > 0 and other.mean > 0:
            weight = 1.0 / max(sample.variance + other.variance, _LEAST_VARIANCE)
            log += weight * math.log(sample.mean / other.mean)
            weights += weight
    return (log / weights, 1.0 / math.sqrt(weights)) if weights else (0.0, math.inf)
