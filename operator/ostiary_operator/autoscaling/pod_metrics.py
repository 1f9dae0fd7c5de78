"""What the pods' own figures ask for: GPU metrics, read through the capacity profile, and `Status`."""

from __future__ import annotations

from collections.abc import Sequence

from ostiary_operator.autoscaling.averages import Tolerance, by_average
from ostiary_operator.autoscaling.decision import Reading
from ostiary_operator.autoscaling.inputs import PodSample
from ostiary_operator.autoscaling.spec import GPU_UNITS, AutoscalerSpec, Capacity, GpuMetric, StatusMetric
from ostiary_operator.autoscaling.trust import trouble

SATURATED = 0.97
"""A device that is busy for so much of the time says no more about how much it could still take."""
MOST_OVERLOAD = 2.0
"""A full pod with a queue counts as so many full ones at most."""
_MOST_CHECKS = 1e6
_DEVICE_WIDE = frozenset({"DCGM_FI_DEV_GPU_UTIL"})


def load_of(busy: float, outstanding: float | None, capacity: Capacity) -> float:
    """The share of its capacity that a pod carries, whose GPU is `busy` for that share of the time.

    Below saturation a busy GPU works through single checks: it does `busy` times what it does alone. Beyond,
    it is the checks in the pod's hands that tell how large its batches are.
    """
    if busy < SATURATED:
        return busy * capacity.alone / capacity.best
    if outstanding is None:
        return busy
    most = capacity.points[-1].concurrency
    if outstanding > most:
        return min(outstanding / most, MOST_OVERLOAD)
    return max(capacity.rate_at(outstanding), capacity.alone * busy) / capacity.best


def gpu_reading(
    metric: GpuMetric,
    spec: AutoscalerSpec,
    pods: Sequence[PodSample],
    current: int,
    now: float,
    tolerance: Tolerance,
) -> Reading:
    """A metric of the DCGM exporter over all pods."""
    unit, most = GPU_UNITS[metric.metric], GPU_UNITS[metric.metric] * 1.001
    values: list[float] = []
    problems: list[str] = []
    missing = unready = shared = 0
    for pod in pods:
        if not pod.ready:
            unready += 1
            continue
        if pod.sharing == "time-slicing" or (pod.sharing == "mig" and metric.metric in _DEVICE_WIDE):
            shared += 1
            continue
        sample = pod.metrics.get(metric.metric)
        if sample is None:
            missing += 1
            continue
        why = trouble(sample.value, sample.at, now, spec.metric_max_age_seconds, most)
        if why:
            missing += 1
            problems.append(f"pod {pod.name}: {why}")
            continue
        busy = sample.value / unit
        values.append(load_of(busy, pod.outstanding, spec.capacity) if metric.profiled else busy)
    if shared:
        # The rest is no sample of those: their load is not known.
        return Reading(metric.name, None, metric.target, None, _SHARED.format(shared, metric.name), True)
    return _read(metric.name, metric.target, values, missing, unready, current, tolerance, problems)


def status_reading(
    metric: StatusMetric,
    spec: AutoscalerSpec,
    pods: Sequence[PodSample],
    current: int,
    now: float,
    tolerance: Tolerance,
) -> Reading:
    """A figure of the pods' `Status`."""
    most = 1.001 if metric.field in ("gpu_utilisation", "sm_active") else _MOST_CHECKS
    values: list[float] = []
    problems: list[str] = []
    missing = unready = 0
    for pod in pods:
        if not pod.ready:
            unready += 1
            continue
        sample = pod.metrics.get(metric.name)
        why = trouble(sample.value, sample.at, now, spec.metric_max_age_seconds, most) if sample else ""
        if sample is None or why:
            missing += 1
            problems += [f"pod {pod.name}: {why}"] if why else []
            continue
        values.append(sample.value)
    return _read(metric.name, metric.target, values, missing, unready, current, tolerance, problems)


_SHARED = "{} pods share their GPU with others: {} speaks of the whole device"


def _read(
    name: str,
    target: float,
    values: Sequence[float],
    missing: int,
    unready: int,
    current: int,
    tolerance: Tolerance,
    problems: Sequence[str],
) -> Reading:
    if not values:
        why = "; ".join(problems) or ("no pod has reported it" if missing else "no pod is ready")
        return Reading(name, None, target, None, why, abstains=not missing)
    proposal = by_average(values, target, current, tolerance, missing, unready)
    return Reading(name, sum(values) / len(values), target, proposal, "; ".join(problems))
