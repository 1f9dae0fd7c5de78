"""What Prometheus knows of a version's pods and gateways → samples, as they were taken and not judged.

Pods by what they and the DCGM exporter tell of them, in series with the labels `namespace` and `pod` (where
the exporter's own are kept: `exported_namespace`, `exported_pod`); gateways in series with one of the labels
`pod` and `instance`, and with those of the settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from ostiary.wire.errors import Reason
from ostiary_operator.autoscaling.inputs import Sample, Sharing
from ostiary_operator.autoscaling.spec import GPU_UNITS, AutoscalerSpec
from ostiary_operator.cluster.prometheus import Newest, Source, Unreachable

IN_FLIGHT, QUEUED = "moderation_pod_in_flight", "moderation_pod_queued"
CHECKS, TOOK = "moderation_checks_total", "moderation_check_duration_seconds_bucket"
WAITING, REFUSALS = "moderation_admission_waiting", "moderation_admission_refusals_total"
OF_PODS = {**{name: name for name in GPU_UNITS}, IN_FLIGHT: "status.in_flight", QUEUED: "status.queued"}
"""Series of pods, and what a decision calls them."""
_LONGER = 2.0
"""So many times the greatest age is looked back, so that what is stale is told and not only missed."""
_ONE_SCRAPE = 1.0


@dataclass(frozen=True)
class PodFigures:
    """Of one pod: samples by the names that a decision knows, and how its GPU is cut up."""

    metrics: Mapping[str, Sample] = field(default_factory=dict)
    sharing: Sharing = "none"

    @property
    def outstanding(self) -> float | None:
        """Checks in its hands; None where it does not tell."""
        parts = [self.metrics.get(OF_PODS[name]) for name in (IN_FLIGHT, QUEUED)]
        known = [part.value for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None


@dataclass(frozen=True)
class GatewayFigures:
    """Of one gateway, at one time: checks of the version that it decided, and how many of them after the
    deadline, ever; checks of all versions that it had no room for, ever, and that wait.
    """

    at: float
    judged: float = 0.0
    late: float = 0.0
    refused: float = 0.0
    waiting: float = 0.0


@dataclass(frozen=True)
class Measured:
    """What was found, by the names of pods and gateways; `trouble`: why there is nothing, or empty."""

    pods: Mapping[str, PodFigures] = field(default_factory=dict)
    gateways: Mapping[str, GatewayFigures] = field(default_factory=dict)
    trouble: str = ""


async def measure(
    source: Source | None, spec: AutoscalerSpec, namespace: str, version: str, now: float
) -> Measured:
    """Everything that is known of a version; nothing, and why, where nobody answers."""
    if source is None:
        return Measured(trouble="no Prometheus is set up: start the operator with --prometheus URL")
    seconds = _LONGER * spec.metric_max_age_seconds
    exactly = version.replace(".", "[.]")  # a dot of a name stands for itself
    names, gateways = "|".join(OF_PODS), "|".join((CHECKS, TOOK, WAITING, REFUSALS))
    selector = f",{source.selector}" if source.selector else ""
    asked = (
        f'__name__=~"{gateways}",version=~"{exactly}|"{selector}',
        *(
            f'__name__=~"{names}",{of}namespace="{namespace}",{of}pod=~"{exactly}-.+"'
            for of in ("", "exported_")
        ),
    )
    try:
        of_gateways, *of_pods = [await source.newest(labels, seconds, now) for labels in asked]
    except Unreachable as error:
        return Measured(trouble=str(error))
    return Measured(
        by_pod([*of_pods[0], *of_pods[1]]), by_gateway(of_gateways, version, spec.deadline_seconds)
    )


def by_pod(series: Iterable[Newest]) -> dict[str, PodFigures]:
    """Figures by pod. Of several GPUs of a pod, the average counts, as old as the oldest of them."""
    samples: dict[str, dict[str, list[Newest]]] = {}
    users: dict[str, set[str]] = {}
    for one in series:
        pod = one.labels.get("exported_pod") or one.labels.get("pod", "")
        name = OF_PODS.get(one.labels.get("__name__", ""))
        if not pod or name is None:
            continue
        samples.setdefault(pod, {}).setdefault(name, []).append(one)
        if device := _device(one):
            users.setdefault(device, set()).add(pod)
    shared = {pod for pods in users.values() if len(pods) > 1 for pod in pods}
    return {
        pod: PodFigures(
            {
                name: Sample(fmean(one.value for one in found), min(one.at for one in found))
                for name, found in by_name.items()
            },
            _sharing((one for found in by_name.values() for one in found), pod in shared),
        )
        for pod, by_name in samples.items()
    }


def _device(one: Newest) -> str:
    """What a pod has of a GPU: the whole, or an instance of it (MIG); empty: the series is not of a GPU."""
    uuid = one.labels.get("UUID", "")
    return f"{uuid}/{one.labels.get('GPU_I_ID', '')}" if uuid else ""


def _sharing(series: Iterable[Newest], shared: bool) -> Sharing:
    """MIG by the exporter's labels; time-slicing by its label, or where two pods have the same device."""
    found = list(series)
    if shared or any(one.labels.get("vgpu") for one in found):
        return "time-slicing"
    return "mig" if any(one.labels.get("GPU_I_ID") for one in found) else "none"


def by_gateway(series: Iterable[Newest], version: str, deadline: float) -> dict[str, GatewayFigures]:
    """Figures by gateway. `deadline`: seconds after which a check is late, to the next bound above it of the
    histogram.
    """
    found: dict[str, list[Newest]] = {}
    for one in series:
        name = one.labels.get("pod") or one.labels.get("instance", "")
        if name and one.labels.get("version", version) == version:
            found.setdefault(name, []).append(one)
    return {name: _gateway(its, deadline) for name, its in found.items()}


def _gateway(series: Sequence[Newest], deadline: float) -> GatewayFigures:
    """Series that ended with a process that was here before are left out: they are older than the rest."""
    newest = max(one.at for one in series)
    current = [one for one in series if one.at >= newest - _ONE_SCRAPE]

    def total(name: str, **labels: str) -> float:
        return math.fsum(
            one.value
            for one in current
            if one.labels.get("__name__") == name and labels.items() <= one.labels.items()
        )

    bounds = {one.labels["le"] for one in current if "le" in one.labels}
    in_time = min((bound for bound in bounds if _seconds(bound) >= deadline), key=_seconds, default=None)
    late = total(TOOK, le="+Inf") - total(TOOK, le=in_time) if in_time is not None else 0.0
    return GatewayFigures(
        at=newest,
        judged=total(CHECKS),
        late=late,
        refused=total(REFUSALS, error_type=Reason.OVERLOADED.value),
        waiting=total(WAITING),
    )


def _seconds(bound: str) -> float:
    try:
        return float(bound)
    except ValueError:
        return math.inf
