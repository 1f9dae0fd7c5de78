"""Looks at a cluster's objects: ModelDeployments with everything about them."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ostiary_operator.kubectl.access import OSTIARY, Cluster, Json
from ostiary_operator.kubectl.failure import Failure
from ostiary_operator.kubectl.rollout import Gateway, OverrideSeen, Pod, Rollout, RunSeen, VersionSeen
from ostiary_operator.resources.analysis import AnalysisTemplateSpec
from ostiary_operator.resources.asked import asked
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.resources.model_version import ModelVersionSpec, ModelVersionStatus
from ostiary_operator.rollout.snapshot import Request

B = TypeVar("B", bound=BaseModel)
MODEL, VERSION = "ostiary.dev/model", "ostiary.dev/version"
ACKED, GATEWAYS = "ostiary.dev/acked-epochs", "ostiary.dev/component=gateway"


async def see(cluster: Cluster, name: str) -> Rollout:
    """A ModelDeployment as it is now.

    Raises:
        Failure: there is none of the name, or the cluster does not answer.
    """
    found = await cluster.get(OSTIARY, "modeldeployments", name)
    if found is None:
        raise await _unknown(cluster, name)
    about = f"{MODEL}={(found.get('spec') or {}).get('model', '')}"
    return _rollout(found, await _around(cluster, about), cluster.namespace, cluster.now())


async def see_all(cluster: Cluster) -> list[Rollout]:
    """All ModelDeployments of the namespace. Raises Failure."""
    found = await cluster.list(OSTIARY, "modeldeployments")
    around = await _around(cluster, MODEL)
    return [_rollout(one, around, cluster.namespace, cluster.now()) for one in found]


async def events(cluster: Cluster, name: str) -> list[str]:
    """What the keeper has announced about a ModelDeployment, the newest last. Raises Failure."""
    about = f"involvedObject.kind=ModelDeployment,involvedObject.name={name}"
    found = await cluster.list("api/v1", "events", fieldSelector=about)
    return [
        f"{_seen_at(one)}  {one.get('type', ''):<7}  {one.get('reason', '')}: {one.get('message', '')}"
        for one in sorted(found, key=_seen_at)
    ]


def _seen_at(event: Json) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"]["creationTimestamp"])
    return str(next(one for one in times if one))


async def _around(cluster: Cluster, select: str) -> dict[str, list[Json]]:
    """Everything that rollouts are judged by, by plural; `select`: labels of Deployments and pods."""
    sources: dict[str, tuple[str, dict[str, str]]] = {
        "modelversions": (OSTIARY, {}),
        "modeloverrides": (OSTIARY, {}),
        "analysisruns": (OSTIARY, {}),
        "analysistemplates": (OSTIARY, {}),
        "trafficroutes": (OSTIARY, {}),
        "deployments": ("apis/apps/v1", {"labelSelector": select}),
        "pods": ("api/v1", {"labelSelector": select}),
        "leases": ("apis/coordination.k8s.io/v1", {"labelSelector": GATEWAYS}),
    }
    found = await asyncio.gather(
        *(cluster.list(root, plural, **query) for plural, (root, query) in sources.items())
    )
    return dict(zip(sources, found, strict=True))


def _rollout(found: Json, around: Mapping[str, Sequence[Json]], namespace: str, now: float) -> Rollout:
    name = _name(found)
    spec = read(ModelDeploymentSpec, found.get("spec"), f"ModelDeployment {name}")
    route = next((one for one in around["trafficroutes"] if _name(one) == spec.model), {})
    routed = route.get("spec") or {}
    weights = {one["name"]: int(one.get("weight", 0)) for one in routed.get("versions") or ()}
    about = {
        plural: [one for one in around[plural] if _labels(one).get(MODEL) == spec.model]
        for plural in ("deployments", "pods")
    }
    return Rollout(
        name=name,
        namespace=namespace,
        now=now,
        generation=int(found["metadata"].get("generation", 0)),
        spec=spec,
        status=read(ModelDeploymentStatus, found.get("status") or {}, f"ModelDeployment {name}: status"),
        versions=_versions(spec.model, around["modelversions"], about["deployments"], about["pods"]),
        weights={key: weight for key, weight in weights.items() if weight},
        mirrors={one["version"]: int(one.get("share", 0)) for one in routed.get("mirrors") or ()},
        epoch=int(routed.get("epoch", 0)),
        gateways=[_gateway(one, spec.model, now) for one in around["leases"]],
        overrides=[
            OverrideSeen(
                _name(one), _created(one), read(ModelOverrideSpec, one["spec"], f"ModelOverride {_name(one)}")
            )
            for one in around["modeloverrides"]
            if one["spec"].get("target") == name
        ],
        request=_request(found),
        uid=str(found["metadata"].get("uid", "")),
        resource_version=str(found["metadata"].get("resourceVersion", "")),
        runs=[_run(one) for one in around["analysisruns"] if one["spec"].get("model") == spec.model],
        templates={
            _name(one): read(AnalysisTemplateSpec, one["spec"], f"AnalysisTemplate {_name(one)}")
            for one in around["analysistemplates"]
        },
    )


def _request(found: Json) -> Request | None:
    """None, too, for one that the keeper will not understand: its condition says so."""
    try:
        return asked(found["metadata"].get("annotations") or {})
    except ValueError:
        return None


def read(kind: type[B], written: object, what: str) -> B:
    """An object's part. Raises Failure where a newer or an older keeper has written what this cannot read."""
    try:
        return kind.model_validate(written)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Failure(
            f"{what} cannot be read: {where}: {first['msg']}: is this kubectl-ostiary as old as the keeper?"
        ) from error


async def _unknown(cluster: Cluster, name: str) -> Failure:
    there = sorted(_name(one) for one in await cluster.list(OSTIARY, "modeldeployments"))
    if not there:
        return Failure(
            f"there is no ModelDeployment in namespace {cluster.namespace}: are --namespace and --context "
            "right?"
        )
    close = difflib.get_close_matches(name, there, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(there[:10])}"
    return Failure(f"there is no ModelDeployment {name} in namespace {cluster.namespace}: {hint}")


def _versions(
    model: str, versions: Sequence[Json], deployments: Sequence[Json], pods: Sequence[Json]
) -> dict[str, VersionSeen]:
    written = {_name(one): one for one in versions if one["spec"].get("model") == model}
    running = {_labels(one).get(VERSION, ""): one for one in deployments}
    seen = {}
    for name in sorted({*written, *running} - {""}):
        one, deployment = written.get(name), running.get(name) or {}
        own = [_pod(pod) for pod in pods if _labels(pod).get(VERSION) == name]
        seen[name] = VersionSeen(
            name=name,
            spec=read(ModelVersionSpec, one["spec"], f"ModelVersion {name}") if one else None,
            status=read(ModelVersionStatus, (one or {}).get("status") or {}, f"ModelVersion {name}: status"),
            replicas=int((deployment.get("spec") or {}).get("replicas", 0)),
            ready=int((deployment.get("status") or {}).get("readyReplicas", 0)),
            pods=tuple(own),
        )
    return seen


def _pod(pod: Json) -> Pod:
    status = pod.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready = (conditions.get("Ready") or {}).get("status") == "True"
    says = "Ready" if ready else str(status.get("phase", "Unknown"))
    if pod["metadata"].get("deletionTimestamp"):
        says = "Terminating"
    elif not ready:
        for one in status.get("containerStatuses") or ():
            state = one.get("state") or {}
            says = (state.get("waiting") or state.get("terminated") or {}).get("reason") or says
        scheduled = conditions.get("PodScheduled") or {}
        if scheduled.get("status") == "False":
            says = f"{scheduled.get('reason', 'Pending')}: {scheduled.get('message', '')}".removesuffix(": ")
    return Pod(_name(pod), ready, says)


def _gateway(lease: Json, model: str, now: float) -> Gateway:
    try:
        acked = json.loads((lease["metadata"].get("annotations") or {}).get(ACKED, "{}"))
        epoch = int(acked.get(model, 0))
    except (AttributeError, TypeError, ValueError):
        epoch = 0
    renewed = (lease.get("spec") or {}).get("renewTime")
    seconds = now - datetime.fromisoformat(renewed).timestamp() if renewed else float("inf")
    return Gateway(_name(lease).removeprefix("ostiary-gateway-"), epoch, max(0.0, seconds))


def _run(run: Json) -> RunSeen:
    status = run.get("status") or {}
    return RunSeen(
        _name(run),
        _created(run),
        str(run["spec"].get("candidate", "")),
        str(status.get("phase", "Running")),
        str(status.get("message", "")),
    )


def _name(written: Json) -> str:
    return str(written["metadata"]["name"])


def _labels(written: Json) -> Json:
    return written["metadata"].get("labels") or {}


def _created(written: Json) -> float:
    return datetime.fromisoformat(written["metadata"]["creationTimestamp"]).timestamp()
