"""How many pods a version needs now. Pure: no clock, no I/O, and the same answer to the same question.

The order is the HorizontalPodAutoscaler's: what each metric proposes, the largest, the stabilisation
windows, the rates, the bounds. What it does not have comes as steps of its own, each of which tells what it
did.

Whatever is wrong with what was read, nothing is taken away because of it, and no more is added than the rates
allow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ostiary_operator.autoscaling import pod_metrics, quarantine
from ostiary_operator.autoscaling.averages import Tolerance, by_total, ceil
from ostiary_operator.autoscaling.behavior import down_limit, stabilised, up_limit
from ostiary_operator.autoscaling.decision import Condition, Decision, Reading, Step
from ostiary_operator.autoscaling.demand import Demand, demand
from ostiary_operator.autoscaling.inputs import Inputs
from ostiary_operator.autoscaling.memory import Dated, Memory
from ostiary_operator.autoscaling.spec import AutoscalerSpec, DemandMetric, GpuMetric, Metric, ScalingRules
from ostiary_operator.autoscaling.victims import victims

LONGEST_GAP = 300.0
"""After so many seconds without a decision, what was recommended before says nothing about now."""
_LIMITS = {
    "minimum": "TooFewReplicas",
    "maximum": "TooManyReplicas",
    "pending": "PodsPending",
    "rollout": "KeptByRollout",
}
_WITNESS = "pods' outstanding checks"


def decide(spec: AutoscalerSpec, inputs: Inputs, memory: Memory, now: float) -> Decision:
    """Decides. `now`: seconds since the epoch, by the clock that dates the samples."""
    current = max(inputs.current, 0)
    if not math.isfinite(now):
        return _held(current, memory, "ClockUnusable", "the clock does not read a time")
    trail = _Trail(current)
    memory = _in_step(memory, current, now, trail)
    if current == 0 and not spec.bulk_only:
        return _held(current, memory, "ScalingDisabled", "scaled to zero by hand: scale up by hand to go on")
    horizon = spec.capacity.cold_start_seconds + now - (now if memory.at is None else memory.at)
    asked = demand(spec, inputs.gateways, memory.counters, now, horizon)
    ready = sum(pod.ready for pod in inputs.pods)
    # Never more than are asked for: pods that were let go have not dropped out.
    served = max(min(memory.served, current), ready)
    readings = [_reading(metric, spec, inputs, asked, served - ready, now) for metric in spec.metrics]
    readings, disagreeing = _quarantined(spec, inputs, readings, memory.disagreeing, now, trail)
    proposals = [reading.proposal for reading in readings if reading.proposal is not None]
    trusted_at = now if proposals else memory.trusted_at
    idle_since = (now if memory.idle_since is None else memory.idle_since) if asked.idle else None
    panic_until = _panic_until(spec, ready, memory, max(proposals, default=0), now)
    memory = replace(
        memory,
        served=served,
        counters=asked.counters,
        disagreeing=disagreeing,
        trusted_at=trusted_at,
        idle_since=idle_since,
        panic_until=panic_until,
    )
    trail.vetoes += _vetoes(spec, readings, asked, panic_until, now)
    raw = trail.begin(max(proposals) if proposals else current)
    if not proposals:
        _fall_back(spec, memory, now, trail)
    _stay_above_trouble(trail)
    _go_to_or_from_zero(spec, asked, idle_since, now, trail)
    recommended = trail.number
    _stabilise(spec, memory, now, trail)
    _limit_rates(spec, memory, now, trail)
    _wait_for_stuck_pods(spec, inputs, now, trail)
    _keep_bounds(spec, asked, idle_since, now, trail)
    _keep_for_rollout(inputs.floor, trail)
    wanted = trail.number
    desired = wanted if spec.mode == "Enforce" else current
    if desired != wanted:
        trail.step(spec.mode.lower(), desired, f"mode is {spec.mode}: replicas stay as they are")
    return Decision(
        current=current,
        raw=raw,
        wanted=wanted,
        desired=desired,
        readings=tuple(readings),
        steps=tuple(trail.steps),
        conditions=_conditions(spec, readings, proposals, trail),
        victims=victims(inputs.pods, current - desired),
        memory=_after(spec, memory, recommended, current, desired, now),
    )


@dataclass
class _Trail:
    """The number as it goes from clamp to clamp, and what changed it."""

    current: int
    number: int = 0
    steps: list[Step] = field(default_factory=list)
    vetoes: list[str] = field(default_factory=list)

    def begin(self, number: int) -> int:
        self.number = number
        return number

    def step(self, name: str, after: int, why: str) -> None:
        if after != self.number:
            self.steps.append(Step(name, self.number, after, why))
            self.number = after


def _in_step(memory: Memory, current: int, now: float, trail: _Trail) -> Memory:
    """The memory, or a new beginning where the clock went back or too long passed: what is there now is the
    first recommendation, so that nothing is taken away before a whole window has been seen.
    """
    before = memory.at
    if before is not None and 0.0 <= now - before <= LONGEST_GAP:
        return memory
    if before is not None:
        jumped = f"went back by {before - now:.0f} s" if now < before else f"is {now - before:.0f} s on"
        trail.vetoes.append(f"the clock {jumped} since the last decision: the windows begin anew")
    return Memory(at=now, recommendations=((now, current),), trusted_at=now)


def _reading(
    metric: Metric, spec: AutoscalerSpec, inputs: Inputs, asked: Demand, out: int, now: float
) -> Reading:
    rules = spec.behavior
    tolerance = Tolerance(rules.scale_up.tolerance, rules.scale_down.tolerance)
    if isinstance(metric, DemandMetric):
        return _demand_reading(metric, spec, inputs.current, asked, out, tolerance)
    if isinstance(metric, GpuMetric):
        return pod_metrics.gpu_reading(metric, spec, inputs.pods, inputs.current, now, tolerance)
    return pod_metrics.status_reading(metric, spec, inputs.pods, inputs.current, now, tolerance)


def _demand_reading(
    metric: DemandMetric, spec: AutoscalerSpec, current: int, asked: Demand, out: int, tolerance: Tolerance
) -> Reading:
    """Demand in pods: what is asked for over what one does, when a pod asked for now is ready.

    Pods are wanted for that with the target's room beside it, or with room for chance, whichever is more; and
    in place of those that dropped out, as long as those are few: where most do, more would not fare better.
    """
    if asked.rate is None:
        return Reading(metric.name, None, metric.target, None, asked.trouble)
    expected = asked.rate + asked.rise
    chance = metric.sigmas * math.sqrt(asked.arrivals / spec.deadline_seconds)
    needed = max(expected / metric.target, expected + chance) / spec.capacity.best
    # Without tolerance on the way up: that is how much would be left undone.
    loose = Tolerance(0.0, tolerance.down)
    proposal = by_total(needed + min(out, ceil(needed / 2.0)), 1.0, current, loose)
    pods = asked.rate / spec.capacity.best
    more = []
    if asked.rise:
        more.append(f"rising to {expected / spec.capacity.best:.3g} until new pods are ready")
    if out:
        more.append(f"{out} pods have dropped out")
    return Reading(metric.name, pods, metric.target, proposal, asked.trouble, more=", ".join(more))


def _quarantined(
    spec: AutoscalerSpec,
    inputs: Inputs,
    readings: list[Reading],
    before: Mapping[str, float],
    now: float,
    trail: _Trail,
) -> tuple[list[Reading], dict[str, float]]:
    """The readings, without the proposals of metrics that have disagreed with the others for long enough."""
    proposals = {
        reading.name: float(reading.proposal)
        for reading in readings
        if reading.proposal is not None and not reading.trouble
    }
    if len(proposals) < 2:
        return readings, {}
    witness = _outstanding_pods(spec, inputs)
    if witness is not None:
        proposals[_WITNESS] = witness
    since = quarantine.disagreeing(proposals, before, now)
    if quarantine.split(proposals):
        trail.vetoes.append("two metrics disagree, and no third says which is wrong")
    # Callers who are counted do arrive, whatever pods say: demand judges, and is not judged.
    judges = {_WITNESS, *(metric.name for metric in spec.metrics if isinstance(metric, DemandMetric))}
    outcast = {
        name for name, at in since.items() if now - at >= spec.quarantine_seconds and name not in judges
    }
    if not outcast or outcast >= proposals.keys() - {_WITNESS}:
        return readings, since
    return [
        replace(reading, proposal=None, abstains=True, trouble=_outcast(reading, since, now))
        if reading.name in outcast
        else reading
        for reading in readings
    ], since


def _outcast(reading: Reading, since: Mapping[str, float], now: float) -> str:
    seconds = now - since[reading.name]
    return f"quarantined: asks for {reading.proposal} pods, unlike the others, for {seconds:.0f} s"


def _outstanding_pods(spec: AutoscalerSpec, inputs: Inputs) -> float | None:
    """Pods that the checks in the pods' hands speak for; None where a ready pod does not tell."""
    total = 0.0
    for pod in inputs.pods:
        if not pod.ready:
            continue
        if pod.outstanding is None or not 0.0 <= pod.outstanding < math.inf:
            return None
        total += min(spec.capacity.rate_at(pod.outstanding) / spec.capacity.best, pod_metrics.MOST_OVERLOAD)
    return total


def _panic_until(spec: AutoscalerSpec, ready: int, memory: Memory, wanted: int, now: float) -> float:
    if wanted / max(ready, 1) >= spec.panic.threshold:
        return now + spec.panic.window_seconds
    return memory.panic_until


def _vetoes(
    spec: AutoscalerSpec, readings: Sequence[Reading], asked: Demand, panic_until: float, now: float
) -> Iterator[str]:
    """Why nothing may be taken away."""
    for reading in readings:
        if reading.trouble and not reading.abstains:
            yield f"{reading.name}: {reading.trouble}"
    if now < panic_until:
        yield f"panic: demand was {spec.panic.threshold:g} times what is ready, less than " + (
            f"{spec.panic.window_seconds:.0f} s ago"
        )
    if asked.missing_deadlines:
        yield "checks have missed their deadlines"
    if asked.waiting > 0.0:
        yield f"{asked.waiting:.0f} checks are waiting"


def _fall_back(spec: AutoscalerSpec, memory: Memory, now: float, trail: _Trail) -> None:
    fallback, trusted_at = spec.fallback, memory.trusted_at
    if fallback is None or trusted_at is None or now - trusted_at < fallback.after_seconds:
        return
    why = f"no metric to be trusted for {now - trusted_at:.0f} s: at least {fallback.replicas} replicas"
    trail.step("fallback", max(trail.number, fallback.replicas), why)


def _stay_above_trouble(trail: _Trail) -> None:
    if trail.vetoes and trail.number < trail.current:
        trail.step("veto", trail.current, f"nothing is taken away: {'; '.join(trail.vetoes)}")


def _go_to_or_from_zero(
    spec: AutoscalerSpec, asked: Demand, idle_since: float | None, now: float, trail: _Trail
) -> None:
    if not spec.bulk_only:
        return
    if trail.current == 0 and ((asked.rate or 0.0) > 0.0 or asked.waiting > 0.0):
        trail.step("from zero", max(trail.number, 1), "work has come in")
    elif trail.number == 0 and not _may_be_zero(spec, asked, idle_since, now):
        trail.step("to zero", min(trail.current, 1), f"not yet idle for {spec.idle_seconds:.0f} s")


def _may_be_zero(spec: AutoscalerSpec, asked: Demand, idle_since: float | None, now: float) -> bool:
    return asked.idle and idle_since is not None and now - idle_since >= spec.idle_seconds


def _stabilise(spec: AutoscalerSpec, memory: Memory, now: float, trail: _Trail) -> None:
    up = 0.0 if now < memory.panic_until else spec.up_window
    after = stabilised(trail.current, trail.number, now, memory.recommendations, up, spec.down_window)
    if after < trail.number:
        why = f"as few were enough within the last {up:.0f} s"
    else:
        why = f"as many were needed within the last {spec.down_window:.0f} s"
    trail.step("stabilisation", after, why)


def _limit_rates(spec: AutoscalerSpec, memory: Memory, now: float, trail: _Trail) -> None:
    current = trail.current
    if trail.number > current:
        rules = spec.behavior.scale_up
        most = up_limit(current, rules, now, memory.ups, memory.downs)
        # From nothing, per cent come to nothing.
        trail.step("rate", min(trail.number, max(most, 1)), f"scaleUp allows {most} now ({_words(rules)})")
    elif trail.number < current:
        rules = spec.behavior.scale_down
        least = down_limit(current, rules, now, memory.ups, memory.downs)
        trail.step("rate", max(trail.number, least), f"scaleDown allows {least} now ({_words(rules)})")


def _words(rules: ScalingRules) -> str:
    listed = (f"{policy.value} {policy.type} in {policy.period_seconds} s" for policy in rules.policies)
    return (
        "Disabled" if rules.select_policy == "Disabled" else f"{rules.select_policy} of {', '.join(listed)}"
    )


def _wait_for_stuck_pods(spec: AutoscalerSpec, inputs: Inputs, now: float, trail: _Trail) -> None:
    if trail.number <= trail.current:
        return
    patience = spec.capacity.cold_start_seconds + spec.pending_seconds
    stuck = sum(not pod.ready and now - pod.created > patience for pod in inputs.pods)
    if stuck:
        why = f"{stuck} pods have not become ready in {patience:.0f} s: more would wait with them"
        trail.step("pending", trail.current, why)


def _keep_bounds(
    spec: AutoscalerSpec, asked: Demand, idle_since: float | None, now: float, trail: _Trail
) -> None:
    least = spec.min_replicas
    if trail.number < least:
        trail.step("minimum", least, f"minReplicas is {least}")
    elif trail.number == 0 and trail.current > 0 and not _may_be_zero(spec, asked, idle_since, now):
        trail.step("minimum", 1, "zero only when known to be idle")
    if trail.number > spec.max_replicas:
        trail.step("maximum", spec.max_replicas, f"maxReplicas is {spec.max_replicas}")


def _keep_for_rollout(floor: int, trail: _Trail) -> None:
    """Whoever rolls versions adds pods up to there; here they are only not taken away."""
    least = min(floor, trail.current)
    if trail.number < least:
        trail.step("rollout", least, f"the rollout needs {floor} for the traffic of this version")


def _conditions(
    spec: AutoscalerSpec, readings: Sequence[Reading], proposals: Sequence[int], trail: _Trail
) -> tuple[Condition, ...]:
    stopped = next((step for step in trail.steps if step.name in ("freeze", "dryrun", "pending")), None)
    able = Condition("AbleToScale", True, "ReadyForNewScale", "")
    if stopped is not None:
        reason = {"freeze": "Frozen", "dryrun": "DryRun", "pending": "PodsPending"}[stopped.name]
        able = Condition("AbleToScale", False, reason, stopped.why)
    elif spec.mode == "Freeze":
        able = Condition("AbleToScale", False, "Frozen", "mode is Freeze")
    elif trail.vetoes:
        able = Condition("AbleToScale", True, "ScaleDownBlocked", "; ".join(trail.vetoes))
    active = Condition("ScalingActive", True, "ValidMetricFound", "")
    if not proposals:
        active = Condition("ScalingActive", False, "NoMetricTrusted", _troubles(readings))
    limits = [step for step in trail.steps if step.name == "rate" or step.name in _LIMITS]
    limited = Condition("ScalingLimited", False, "DesiredWithinRange", "")
    if limits:
        last = limits[-1]
        limited = Condition("ScalingLimited", True, _LIMITS.get(last.name, "RateLimited"), last.why)
    troubles = _troubles(readings)
    healthy = Condition("MetricsHealthy", True, "AllTrusted", "")
    clock = [veto for veto in trail.vetoes if veto.startswith("the clock ")]
    if troubles or clock:
        reason = "ClockJumped" if clock else "SomeNotTrusted" if proposals else "NoneTrusted"
        healthy = Condition("MetricsHealthy", False, reason, "; ".join(filter(None, [*clock, troubles])))
    return able, active, limited, healthy


def _troubles(readings: Sequence[Reading]) -> str:
    return "; ".join(f"{reading.name}: {reading.trouble}" for reading in readings if reading.trouble)


def _after(
    spec: AutoscalerSpec, memory: Memory, recommended: int, current: int, desired: int, now: float
) -> Memory:
    """The memory for the next decision, without what no window reaches any more."""
    change = desired - current
    window, period = now - spec.longest_window, now - spec.longest_period
    ups, downs = _since(memory.ups, period), _since(memory.downs, period)
    return replace(
        memory,
        at=now,
        recommendations=(*_since(memory.recommendations, window), (now, recommended)),
        ups=(*ups, (now, change)) if change > 0 else ups,
        downs=(*downs, (now, -change)) if change < 0 else downs,
    )


def _since(dated: tuple[Dated, ...], oldest: float) -> tuple[Dated, ...]:
    start = 0
    while start < len(dated) and dated[start][0] < oldest:
        start += 1
    return dated[start:] if start else dated


def _held(current: int, memory: Memory, reason: str, why: str) -> Decision:
    """Nothing is changed, and the memory stays as it is."""
    return Decision(
        current=current,
        raw=current,
        wanted=current,
        desired=current,
        readings=(),
        steps=(),
        conditions=(
            Condition("AbleToScale", False, reason, why),
            Condition("ScalingActive", False, reason, why),
            Condition("ScalingLimited", False, "DesiredWithinRange", ""),
            Condition("MetricsHealthy", reason != "ClockUnusable", reason, why),
        ),
        victims=(),
        memory=memory,
    )
