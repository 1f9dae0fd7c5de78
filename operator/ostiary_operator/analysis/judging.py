"""A template and what was measured → a judgement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ostiary_operator.analysis.sequential import Interval, Moments, difference
from ostiary_operator.resources.analysis import AnalysisTemplateSpec, Comparison, Metric, Query
from ostiary_operator.rollout.snapshot import Analysis, AnalysisPhase


@dataclass(frozen=True)
class Pair:
    """A figure of both versions."""

    candidate: Moments
    baseline: Moments


@dataclass(frozen=True)
class Measured:
    """Everything that was measured so far, by the metric's name. `pairs`: for comparisons; `numbers`: for
    queries, in order, NaN where the query had no answer. `seconds`: since the run began.
    """

    seconds: float
    pairs: Mapping[str, Pair]
    numbers: Mapping[str, Sequence[float]]


def judge(template: AnalysisTemplateSpec, measured: Measured) -> Analysis:
    """How the run stands. One metric that has failed decides; for success all have to be good."""
    late = measured.seconds >= template.seconds
    found = [_of_metric(template, metric, measured, late) for metric in template.metrics]
    for phase in ("Failed", "Running", "Inconclusive"):
        if said := [one.message for one in found if one.phase == phase]:
            return Analysis(phase, "; ".join(said))
    return Analysis("Successful", "; ".join(one.message for one in found))


def _of_metric(template: AnalysisTemplateSpec, metric: Metric, measured: Measured, late: bool) -> Analysis:
    if metric.compare is not None:
        pair = measured.pairs.get(metric.name)
        comparisons = sum(one.compare is not None for one in template.metrics)
        return _compared(template, metric.name, metric.compare, pair, template.alpha / comparisons, late)
    assert metric.prometheus is not None  # noqa: S101 - its schema has exactly one of the two
    return _queried(metric.name, metric.prometheus, measured.numbers.get(metric.name, ()), late)


def _compared(
    template: AnalysisTemplateSpec,
    name: str,
    comparison: Comparison,
    pair: Pair | None,
    alpha: float,
    late: bool,
) -> Analysis:
    """Failed where the difference is surely above the margin, good where it is surely within."""
    open_: AnalysisPhase = "Inconclusive" if late else "Running"
    least = min(pair.candidate.count, pair.baseline.count) if pair is not None else 0
    if pair is None or least < template.min_samples:
        return Analysis(open_, f"{name}: {least:,} of {template.min_samples:,} checks")
    interval = difference(pair.candidate, pair.baseline, alpha)
    low, high = _harm(comparison, interval)
    said = (
        f"{name}: {pair.candidate.mean:.4g} beside {pair.baseline.mean:.4g}, the difference is between "
        f"{interval.low:+.4g} and {interval.high:+.4g}, borne is {comparison.margin:g}"
    )
    if low > comparison.margin:
        return Analysis("Failed", said)
    return Analysis("Successful" if high <= comparison.margin else open_, said)


def _harm(comparison: Comparison, interval: Interval) -> tuple[float, float]:
    """The least and the most that the difference does harm."""
    if comparison.harm == "Increase":
        return interval.low, interval.high
    if comparison.harm == "Decrease":
        return -interval.high, -interval.low
    return max(interval.low, -interval.high), max(interval.high, -interval.low)


def _queried(name: str, query: Query, numbers: Sequence[float], late: bool) -> Analysis:
    """A number outside its bounds is a failure; none, or NaN, is neither good nor bad."""
    low = -math.inf if query.at_least is None else query.at_least
    high = math.inf if query.at_most is None else query.at_most
    known = [number for number in numbers if not math.isnan(number)]
    failed = [number for number in known if not low <= number <= high]
    if len(failed) > query.failure_limit:
        wrong = ", ".join(f"{number:g}" for number in failed[-3:])
        return Analysis(
            "Failed", f"{name}: {len(failed)} of {len(known)} measurements out of bounds: {wrong}"
        )
    if not late:
        return Analysis("Running", f"{name}: {len(known)} measurements")
    if not known or len(known) < len(numbers) / 2:
        return Analysis("Inconclusive", f"{name}: {len(known)} answers to {len(numbers)} queries")
    return Analysis("Successful", f"{name}: {len(known)} measurements")
