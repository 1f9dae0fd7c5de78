"""AnalysisRuns under way: measured again and again, and judged each time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import structlog

from ostiary_operator.analysis.judging import Measured, Pair, judge
from ostiary_operator.analysis.sequential import Moments
from ostiary_operator.cluster.carrying import Carrier
from ostiary_operator.cluster.kinds import ANALYSIS_RUNS, Json
from ostiary_operator.cluster.mirror import Key, Mirror
from ostiary_operator.cluster.prometheus import Source, Unreachable
from ostiary_operator.resources.analysis import AnalysisRunSpec, AnalysisRunStatus, Query
from ostiary_operator.rollout.snapshot import Analysis

_log = structlog.get_logger(__name__)
EVERY, OVER = 10.0, 3_600.0
"""Seconds between two looks at a run that is under way; at one that has ended there is nothing to see."""
_GRACE = 60.0
"""Past a run's end: for so long an answer to the last question is waited for."""
_LONGEST = 1_024


class Judges:
    """Measures and judges. What was measured is with the source, so that a keeper that comes new to a run
    knows all of it.
    """

    def __init__(
        self, mirror: Mirror, carrier: Carrier, source: Source | None, clock: Callable[[], float]
    ) -> None:
        """`source`: None where none is set up, so that nothing can be measured."""
        self._mirror = mirror
        self._carrier = carrier
        self._source = source
        self._clock = clock

    async def look(self, key: Key) -> float:
        """A look at a run; in how many seconds the next one is due. Raises ApiFailure and NotLeading."""
        run = self._mirror.get(ANALYSIS_RUNS, *key)
        if run is None:
            return OVER
        try:
            spec = AnalysisRunSpec.model_validate(run["spec"])
            status = AnalysisRunStatus.model_validate(run.get("status") or {})
        except ValueError as error:
            await self._say(run, AnalysisRunStatus(phase="Error", message=str(error)[:_LONGEST]))
            return OVER
        if status.phase != "Running":
            return OVER
        now = self._clock()
        if status.started_at is None:
            await self._say(run, AnalysisRunStatus(message="measuring", started_at=now))
            return min(EVERY, _shortest(spec))
        found = await self._judged(spec, status.started_at, now)
        changes = {"phase": found.phase, "message": found.message[:_LONGEST]}
        await self._say(run, status.model_copy(update=changes))
        if found.phase != "Running":
            return OVER
        ends = status.started_at + spec.seconds - now
        return min(EVERY, _shortest(spec), ends + 0.05 if ends > 0.0 else EVERY)

    async def _judged(self, spec: AnalysisRunSpec, since: float, now: float) -> Analysis:
        seconds = now - since
        try:
            measured = await self._measured(spec, since, min(now, since + spec.seconds))
        except Unreachable as error:
            _log.warning("measuring.failed", candidate=spec.candidate, error=str(error))
            late = seconds >= spec.seconds + _GRACE
            return Analysis("Inconclusive" if late else "Running", f"nothing could be measured: {error}")
        return judge(spec, Measured(seconds, *measured))

    async def _measured(
        self, spec: AnalysisRunSpec, since: float, until: float
    ) -> tuple[dict[str, Pair], dict[str, Sequence[float]]]:
        source = self._source
        if source is None:
            raise Unreachable("no Prometheus is set up: start the operator with --prometheus URL")
        pairs: dict[str, Pair] = {}
        numbers: dict[str, Sequence[float]] = {}
        for metric in spec.metrics:
            if metric.prometheus is not None:
                numbers[metric.name] = await _numbers(source, metric.prometheus, since, until)
            elif metric.compare is not None:
                pair = await _pair(source, metric.compare.figure, spec, since, until)
                if pair is not None:
                    pairs[metric.name] = pair
        return pairs, numbers

    async def _say(self, run: Json, status: AnalysisRunStatus) -> None:
        said = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        await self._carrier.write_status(ANALYSIS_RUNS, run, said)


async def _pair(
    source: Source, figure: str, spec: AnalysisRunSpec, since: float, until: float
) -> Pair | None:
    """A figure of both versions; None where gateways do not count it."""
    copied = figure.startswith("flips/")  # counted against what the baseline said of the same checks
    arms = ("candidate", "control") if spec.arms and not copied else ("", "")
    candidate = await source.moments(figure, spec.candidate, since, until, arms[0])
    if candidate is None:
        return None
    if copied:
        return Pair(candidate, Moments(candidate.count))
    baseline = await source.moments(figure, spec.baseline, since, until, arms[1])
    return None if baseline is None else Pair(candidate, baseline)


async def _numbers(source: Source, query: Query, since: float, until: float) -> Sequence[float]:
    found = await source.numbers(query.query, since, until, query.interval_seconds)
    return [number if math.isfinite(number) else math.nan for number in found]


def _shortest(spec: AnalysisRunSpec) -> float:
    intervals = [one.prometheus.interval_seconds for one in spec.metrics if one.prometheus is not None]
    return max(0.5, min(intervals, default=EVERY))
