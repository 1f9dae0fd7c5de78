"""What callers ask for: arrivals from the gateways' counters, and the queue by how long it can still wait."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ostiary_operator.autoscaling.inputs import GatewaySample
from ostiary_operator.autoscaling.memory import Counted
from ostiary_operator.autoscaling.spec import AutoscalerSpec
from ostiary_operator.autoscaling.trust import trouble

MOST_CHECKS = 1e15
"""Beyond this a counter no longer counts by one."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the gateways say together.

    Attributes:
        rate: checks a second that arrive, and that the queue adds; None: it cannot be told.
        arrivals: the arrivals' part of it.
        steady: arrivals a second over the longer window.
        waiting: checks in queues.
        missing_deadlines: whether deadlines were missed of late.
        trouble: what is not as it should be; empty: nothing.
        counters: for the memory.
    """

    rate: float | None
    arrivals: float
    steady: float
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
) -> Demand:
    """Adds up the gateways. One that cannot be believed adds nothing, and is told in `trouble`."""
    oldest, window = spec.metric_max_age_seconds, spec.rate_window
    longest = max(window, spec.steady_window)
    problems: list[str] = []
    counters: dict[str, tuple[Counted, ...]] = {}
    rate = steady = waiting = rescued = 0.0
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
        rate += grown / (recent[-1][0] - recent[0][0])
        steady += _increase(series, 1)[0] / (series[-1][0] - series[0][0])
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
        known, rescued, steady = False, 0.0, 0.0
    total = rate + rescued if known or rescued else None
    return Demand(total, rate, steady, waiting, missed, "; ".join(problems), counters)


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
