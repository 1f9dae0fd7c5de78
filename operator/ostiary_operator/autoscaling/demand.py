"""What callers ask for: arrivals from the gateways' counters, and the queue by how long it can still wait."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ostiary_operator.autoscaling.inputs import GatewaySample
from ostiary_operator.autoscaling.memory import Counted
from ostiary_operator.autoscaling.spec import AutoscalerSpec
from ostiary_operator.autoscaling.trust import trouble

MOST_CHECKS = 1e15
"""Beyond this a counter no longer counts by one."""
MOST_RISE = 0.5
"""More than this part of what arrives now is not expected on top of it."""
FEWEST_SAMPLES = 5
"""With fewer, a line goes through everything."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the gateways say together.

    Attributes:
        rate: checks a second that arrive, and that the queue adds; None: it cannot be told.
        arrivals: the arrivals' part of it.
        rise: by how much they will surely have risen when pods that the next decision asks for are ready.
        waiting: checks in queues.
        missing_deadlines: whether deadlines were missed of late.
        trouble: what is not as it should be; empty: nothing.
        counters: for the memory.
    """

    rate: float | None
    arrivals: float
    rise: float
    waiting: float
    missing_deadlines: bool
    trouble: str
    counters: Mapping[str, tuple[Counted, ...]]

    @property
    def idle(self) -> bool:
        """Whether it is known that nobody wants anything."""
        return self.rate == 0.0 and not self.waiting and not self.trouble


def demand(
    spec: AutoscalerSpec,
    gateways: Sequence[GatewaySample],
    remembered: Mapping[str, tuple[Counted, ...]],
    now: float,
    horizon: float,
) -> Demand:
    """Adds up the gateways. One that cannot be believed adds nothing, and is told in `trouble`.

    `horizon`: seconds until pods that the next decision asks for would be ready.
    """
    oldest, window = spec.metric_max_age_seconds, spec.rate_window_seconds
    longest = max(window, spec.trend_window)
    problems: list[str] = []
    counters: dict[str, tuple[Counted, ...]] = {}
    rate = rise = waiting = rescued = 0.0
    missed = known = False
    for gateway in gateways:
        why = trouble(gateway.arrivals, gateway.at, now, oldest, MOST_CHECKS) or trouble(
            gateway.misses, gateway.at, now, oldest, MOST_CHECKS
        )
        if why:
            problems.append(f"gateway {gateway.name}: {why}")
            continue
        series = _longer(remembered.get(gateway.name, ()), gateway, longest)
        counters[gateway.name] = series
        queued, helped, why = _queue(gateway, spec.capacity.cold_start_seconds)
        waiting += queued
        rescued += helped
        if why:
            problems.append(f"gateway {gateway.name}: {why}")
        if len(series) < 2:
            problems.append(f"gateway {gateway.name}: first sample, a rate needs two")
            continue
        recent = _last(series, window)
        grown, reset = _increase(recent, 1)
        if reset:
            problems.append(f"gateway {gateway.name}: its counter started anew")
        known = True
        lasted = recent[-1][0] - recent[0][0]
        rate += grown / lasted
        rise += surely_rising(series) * (now - gateway.at + lasted / 2.0 + horizon)
        missed = missed or _increase(recent, 2)[0] > 0.0
    for name, series in remembered.items():
        if name not in counters and now - series[-1][0] <= oldest:
            counters[name] = series
            problems.append(f"gateway {name}: silent for {now - series[-1][0]:.0f} s")
    if not gateways:
        problems.append("no gateway has reported")
    most = 100.0 * spec.max_replicas * spec.capacity.best
    if rate + rescued > most:
        problems.append(
            f"absurd: {rate + rescued:g} checks/s, where {most:g} is a hundred times what all pods do"
        )
        known, rescued = False, 0.0
    total = rate + rescued if known or rescued else None
    # What grows by more than that within a cold start is no line any more.
    rise = min(rise, MOST_RISE * rate)
    return Demand(total, rate, rise, waiting, missed, "; ".join(problems), counters)


def surely_rising(series: Sequence[Counted]) -> float:
    """By how much a counter's rate rises each second, beyond chance: two standard errors less than the
    slope of a line through it, and at least zero.

    Weighted least squares over the rates between the samples. Their scatter about the line tells the error,
    and is taken to be at least that of independent arrivals.
    """
    if len(series) < FEWEST_SAMPLES:
        return 0.0
    spans = [
        (after[0] - before[0], (before[0] + after[0]) / 2.0, after[1] - before[1])
        for before, after in pairwise(series)
    ]
    if any(grown < 0.0 for _, _, grown in spans):
        return 0.0  # the counter started anew meanwhile: no line goes through that
    total = math.fsum(lasted for lasted, _, _ in spans)
    rate = math.fsum(grown for _, _, grown in spans) / total
    middle = math.fsum(lasted * at for lasted, at, _ in spans) / total
    spread = math.fsum(lasted * (at - middle) ** 2 for lasted, at, _ in spans)
    slope = math.fsum((at - middle) * (grown - rate * lasted) for lasted, at, grown in spans) / spread
    scatter = math.fsum(
        lasted * (grown / lasted - rate - slope * (at - middle)) ** 2 for lasted, at, grown in spans
    ) / (len(spans) - 2)
    return max(slope - 2.0 * math.sqrt(max(scatter, rate) / spread), 0.0)


def _longer(before: tuple[Counted, ...], gateway: GatewaySample, window: float) -> tuple[Counted, ...]:
    """The series with the new sample, and no longer than the window asks for."""
    at = gateway.at
    if before and at <= before[-1][0]:
        # The same scrape again; and what claims to be older than what is known adds nothing.
        return before
    return _last((*before, (at, gateway.arrivals, gateway.misses)), window)


def _last(series: tuple[Counted, ...], window: float) -> tuple[Counted, ...]:
    """The newest samples, from the one on that the window begins with."""
    start, oldest = len(series) - 1, series[-1][0] - window
    while start > 0 and series[start][0] > oldest:
        start -= 1
    return series[start:] if start else series


def _increase(series: Sequence[Counted], column: int) -> tuple[float, bool]:
    """How far a counter went, and whether it started anew meanwhile: then from zero."""
    grown, reset, before = 0.0, False, series[0][column]
    for counted in series[1:]:
        value = counted[column]
        if value < before:
            grown, reset = grown + value, True
        else:
            grown += value - before
        before = value
    return grown, reset


def _queue(gateway: GatewaySample, cold_start: float) -> tuple[float, float, str]:
    """Checks waiting; the rate that those ask for whom a new pod can still help; and what is wrong.

    A check that is due before a new pod could be ready is for the pods that there are: asking for pods on its
    behalf would buy them too late, and too many.
    """
    waiting = rate = 0.0
    for left, count in gateway.queue:
        if not math.isfinite(left) or not 0.0 <= count <= MOST_CHECKS:
            return waiting, rate, f"queue of {count:g} checks with {left:g} s left"
        waiting += count
        if left > cold_start:
            rate += count / max(left - cold_start, 1.0)
    return waiting, rate, ""
