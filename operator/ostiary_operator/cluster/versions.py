"""What is known of a model's versions: what they are, what runs of them, and what gates ask of them. No I/O.

Of many versions few are on their way: gates are looked at for those alone, and what was read of an object is
kept for as long as that is the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from pydantic import ValidationError

from ostiary_operator.autoscaling.spec import AutoscalerSpec
from ostiary_operator.cluster import pods
from ostiary_operator.cluster.kinds import (
    CAPACITY,
    DEPLOYMENTS,
    GPU_AUTOSCALERS,
    MODEL_VERSIONS,
    PODS,
    RESOURCE_QUOTAS,
    VERSION,
    Json,
    annotated,
    labels,
)
from ostiary_operator.cluster.mirror import Mirror
from ostiary_operator.cluster.room import room
from ostiary_operator.cluster.verifying import proofs_of
from ostiary_operator.resources.gates import Gates
from ostiary_operator.resources.model_version import ModelVersionSpec, ModelVersionStatus
from ostiary_operator.rollout.snapshot import Version


@dataclass(frozen=True)
class Described:
    """A ModelVersion, read."""

    spec: ModelVersionSpec
    status: ModelVersionStatus


def described(obj: Json) -> Described | None:
    """A ModelVersion; None where it makes no sense."""
    try:
        spec = ModelVersionSpec.model_validate(obj["spec"])
        return Described(spec, ModelVersionStatus.model_validate(obj.get("status") or {}))
    except ValidationError:
        return None


def versions(
    mirror: Mirror, namespace: str, model: str, gates: Gates, gated: Collection[str | None]
) -> dict[str, Version]:
    """Versions that are described, and those that run although their ModelVersion has been removed. `gated`:
    those that gates may be asked of.
    """
    ready: dict[str, int] = {}
    for pod in mirror.about(PODS, namespace, model).values():
        if pods.is_ready(pod):
            version = str(labels(pod).get(VERSION))
            ready[version] = ready.get(version, 0) + 1
    found = {}
    there, running = (mirror.about(kind, namespace, model) for kind in (MODEL_VERSIONS, DEPLOYMENTS))
    for name in {*there, *running}:
        runs = running.get(name)
        replicas = int(runs["spec"]["replicas"]) if runs is not None else 0
        read = mirror.read(MODEL_VERSIONS, namespace, name, described) if name in there else None
        capacity = read.spec.checks_per_second if read else None if name in there else _capacity(runs)
        loads = read.status.load_seconds_p95 if read else None
        if capacity is not None:
            # What is ready beyond what is wanted is about to go.
            bounds = autoscaled_between(mirror, namespace, name)
            found[name] = Version(capacity, loads, replicas, min(replicas, ready.get(name, 0)), bounds)
    if gates != Gates():
        for name in {*found} & {*there} & {*gated}:
            found[name] = _before_gates(mirror, namespace, model, name, found[name], gates)
    return found


def _before_gates(
    mirror: Mirror, namespace: str, model: str, name: str, version: Version, gates: Gates
) -> Version:
    own = mirror.read(MODEL_VERSIONS, namespace, name, described)
    if own is None:
        return version
    names = mirror.about(MODEL_VERSIONS, namespace, model) if gates.jobs else ()
    read = (mirror.read(MODEL_VERSIONS, namespace, one, described) for one in names if one != name)
    quotas = mirror.about(RESOURCE_QUOTAS, namespace).values()
    return replace(
        version,
        most_pods=room(quotas, own.spec.gpu, version.replicas),
        proofs=proofs_of(own.spec, own.status, (one.status for one in read if one is not None), gates),
    )


def _capacity(runs: Json | None) -> float | None:
    """Checks a second of one pod of a version that is described no more."""
    try:
        return float(annotated(runs or {"metadata": {}}).get(CAPACITY, ""))
    except ValueError:
        return None


def autoscaler_of(mirror: Mirror, namespace: str, version: str) -> Json | None:
    """The GPUAutoscaler of a version, the oldest of several; None without one."""
    found = [
        one
        for one in mirror.about(GPU_AUTOSCALERS, namespace, version).values()
        if not one["metadata"].get("deletionTimestamp")
    ]
    return min(found, key=_age, default=None)


def _age(obj: Json) -> tuple[str, str]:
    """Sorts the oldest first, and those of one second by their names."""
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]


def autoscaled_between(mirror: Mirror, namespace: str, version: str) -> tuple[int, int] | None:
    """Fewest and most pods that a GPUAutoscaler lets a version have; None where it has not their number:
    there is none, it only tells what it would do, or its spec makes no sense.
    """
    found = autoscaler_of(mirror, namespace, version)
    if found is None:
        return None
    spec = mirror.read(GPU_AUTOSCALERS, namespace, found["metadata"]["name"], _autoscaler)
    return None if spec is None or spec.mode == "DryRun" else (spec.min_replicas, spec.max_replicas)


def _autoscaler(obj: Json) -> AutoscalerSpec | None:
    try:
        return AutoscalerSpec.model_validate(obj.get("spec") or {})
    except ValidationError:
        return None
