"""Has plans' actions done in a cluster, each so that doing it twice does no harm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from pydantic import ValidationError

from ostiary_operator.cluster.announcing import again, event
from ostiary_operator.cluster.api import Api, ApiFailure, Conflict, NotFound
from ostiary_operator.cluster.gate_jobs import gate_job
from ostiary_operator.cluster.kinds import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    DELETION_COST,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    MODEL_DEPLOYMENTS,
    MODEL_VERSIONS,
    PODS,
    SERVICES,
    TRAFFIC_ROUTES,
    Json,
    Kind,
    annotated,
    owned_by,
    owner_reference,
)
from ostiary_operator.cluster.mirror import Mirror
from ostiary_operator.cluster.route import route_object
from ostiary_operator.cluster.seeing import Seen
from ostiary_operator.cluster.verifying import verified
from ostiary_operator.cluster.version_objects import BadTemplate, deployment, service
from ostiary_operator.resources.model_version import ModelVersionSpec, ModelVersionStatus
from ostiary_operator.rollout.actions import (
    Action,
    Announce,
    Scale,
    StartAnalysis,
    StartGate,
    StopAnalysis,
    StopGate,
    Verify,
    WriteRoute,
)

_log = structlog.get_logger(__name__)
_FIRST = "-1000"
"""Deletion cost of a pod that goes before those that have none said."""


class Refused(Exception):  # noqa: N818  # says what was
    """An action that cannot be done as things are; the message says why and what to do."""


class Carrier:
    """What it writes is known to the mirror at once. Methods raise ApiFailure and Refused."""

    def __init__(
        self,
        api: Api,
        mirror: Mirror,
        template: Mapping[str, Any],
        may: Callable[[], None],
        run_seen: Callable[[Json], None],
    ) -> None:
        """
        Args:
            api: where things are done.
            mirror: knows at once what was written.
            template: of versions' pods.
            may: asked before each write; raises where this keeper may not.
            run_seen: told of each AnalysisRun as it was written, which concerns others than its writer.
        """
        self._api = api
        self._mirror = mirror
        self._template = template
        self._may = may
        self._run_seen = run_seen

    async def do(self, seen: Seen, action: Action, now: float) -> None:
        """Have it done. `seen`: what it was decided from."""
        self._may()
        match action:
            case Scale():
                await self._scale(seen, action)
            case WriteRoute():
                await self._write_route(seen, action)
            case StartAnalysis():
                await self._start(seen, action)
            case StopAnalysis(name):
                await self._api.delete(ANALYSIS_RUNS, seen.obj["metadata"]["namespace"], name)
            case StartGate():
                await self._start_gate(seen, action)
            case StopGate(name):
                await self._api.delete(JOBS, seen.obj["metadata"]["namespace"], name)
            case Verify():
                await self._verify(seen, action, now)
            case Announce():
                await self.announce(seen.obj, action, now)

    async def _scale(self, seen: Seen, action: Scale) -> None:
        namespace = seen.obj["metadata"]["namespace"]
        there = self._mirror.get(DEPLOYMENTS, namespace, action.version)
        if there is None:
            await self._run(seen, action)
            return
        if action.replicas < there["spec"]["replicas"]:
            await self._still_routed_so(seen)
            self._may()
        if not owned_by(there, seen.obj):
            raise Refused(_foreign(DEPLOYMENTS, action.version))
        wanted = {"spec": {"replicas": action.replicas}}
        scale = await self._api.merge(DEPLOYMENTS, namespace, action.version, wanted, "scale")
        metadata = {**there["metadata"], "resourceVersion": scale["metadata"]["resourceVersion"]}
        self._mirror.take(DEPLOYMENTS, {"metadata": metadata, **wanted})

    async def _still_routed_so(self, seen: Seen) -> None:
        """Pods go only if the route is still the one that gateways were seen to have applied.

        Whoever has just taken over from another keeper may not know yet what that one wrote last.
        """
        if seen.route is None:
            return
        metadata = seen.route["metadata"]
        now = await self._api.get(TRAFFIC_ROUTES, metadata["namespace"], metadata["name"])
        self._mirror.take(TRAFFIC_ROUTES, now)
        if now["metadata"].get("generation") != metadata.get("generation"):
            raise Conflict(409, f"TrafficRoute {metadata['name']} has changed since it was seen")

    async def _run(self, seen: Seen, action: Scale) -> None:
        """The Deployment of a version, and before it the Service, so that no pod is ready and not found."""
        version = self._version(seen, action.version)
        try:
            wanted = deployment(seen.obj, action.version, version, action.replicas, self._template)
        except BadTemplate as error:
            raise Refused(f"ModelVersion {action.version}: {error}") from error
        await self._made(SERVICES, service(seen.obj, action.version, version), seen.obj)
        self._may()
        self._mirror.take(DEPLOYMENTS, await self._made(DEPLOYMENTS, wanted, seen.obj))

    def _version(self, seen: Seen, name: str) -> ModelVersionSpec:
        described = self._mirror.get(MODEL_VERSIONS, seen.obj["metadata"]["namespace"], name)
        if described is None:
            raise Refused(f"there is no ModelVersion {name}, and nothing that runs it")
        return ModelVersionSpec.model_validate(described["spec"])

    async def _start_gate(self, seen: Seen, action: StartGate) -> None:
        gate = seen.snapshot.spec.strategy.gates.jobs[action.gate]
        version = self._version(seen, action.version)
        try:
            wanted = gate_job(seen.obj, action, version, gate, self._template)
        except BadTemplate as error:
            raise Refused(f"ModelVersion {action.version}: {error}") from error
        self._mirror.take(JOBS, await self._made(JOBS, wanted, seen.obj))

    async def _verify(self, seen: Seen, action: Verify, now: float) -> None:
        namespace = seen.obj["metadata"]["namespace"]
        described = self._mirror.get(MODEL_VERSIONS, namespace, action.version)
        if described is None:
            return
        before = ModelVersionStatus.model_validate(described.get("status") or {})
        version = ModelVersionSpec.model_validate(described["spec"])
        status = verified(before, version, action, seen.snapshot.spec.strategy.gates, now)
        written = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        await self.write_status(MODEL_VERSIONS, described, written)

    async def _made(self, kind: Kind, wanted: Json, owner: Json) -> Json:
        """The object, made or there already; but nobody else's."""
        metadata = wanted["metadata"]
        try:
            return await self._api.create(kind, wanted)
        except Conflict:
            there = await self._api.get(kind, metadata["namespace"], metadata["name"])
            if not owned_by(there, owner) or there["metadata"].get("deletionTimestamp"):
                raise Refused(_foreign(kind, metadata["name"])) from None
            return there

    async def _write_route(self, seen: Seen, action: WriteRoute) -> None:
        model = seen.snapshot.spec.model
        wanted = route_object(seen.obj, model, seen.route, action)
        try:
            written = await self._api.apply(TRAFFIC_ROUTES, wanted)
        except Conflict:
            # Whoever comes back to this shall see what it has become.
            namespace = seen.obj["metadata"]["namespace"]
            self._mirror.take(TRAFFIC_ROUTES, await self._api.get(TRAFFIC_ROUTES, namespace, model))
            raise
        self._mirror.take(TRAFFIC_ROUTES, written)

    async def _start(self, seen: Seen, action: StartAnalysis) -> None:
        namespace = seen.obj["metadata"]["namespace"]
        template = self._mirror.get(ANALYSIS_TEMPLATES, namespace, action.template)
        if template is None:
            raise Refused(f"there is no AnalysisTemplate {action.template}")
        who: Json = {
            "model": seen.snapshot.spec.model,
            "candidate": action.candidate,
            "baseline": action.baseline,
            **({"arms": True} if action.arms else {}),
        }
        metadata = {
            "name": action.name, "namespace": namespace, "ownerReferences": [owner_reference(seen.obj)],
        }  # fmt: skip
        run = {"metadata": metadata, "spec": {**template["spec"], **who}}
        self._run_seen(await self._made(ANALYSIS_RUNS, run, seen.obj))

    async def rescale(
        self, target: Json, replicas: int, victims: Sequence[str], pods: Iterable[Json]
    ) -> None:
        """So many replicas, if the Deployment is as it was seen; `victims` go first, and none that was to go
        first before and is not any more.
        """
        namespace, name = target["metadata"]["namespace"], target["metadata"]["name"]
        for pod in pods:
            marked = DELETION_COST in annotated(pod)
            if marked != (pod["metadata"]["name"] in victims):
                await self._mark(pod, None if marked else _FIRST)
        self._may()
        version = target["metadata"]["resourceVersion"]
        wanted: Json = {"spec": {"replicas": replicas}}
        change = {"metadata": {"resourceVersion": version}, **wanted}
        try:
            scale = await self._api.merge(DEPLOYMENTS, namespace, name, change, "scale")
        except Conflict:
            self._mirror.take(DEPLOYMENTS, await self._api.get(DEPLOYMENTS, namespace, name))
            raise
        metadata = {**target["metadata"], "resourceVersion": scale["metadata"]["resourceVersion"]}
        self._mirror.take(DEPLOYMENTS, {"metadata": metadata, **wanted})

    async def _mark(self, pod: Json, cost: str | None) -> None:
        """Pods that are gone need no mark."""
        self._may()
        metadata = pod["metadata"]
        change = {"metadata": {"annotations": {DELETION_COST: cost}}}
        with suppress(NotFound):
            self._mirror.take(
                PODS, await self._api.merge(PODS, metadata["namespace"], metadata["name"], change)
            )

    async def announce(self, about: Json, said: Announce, now: float, kind: Kind = MODEL_DEPLOYMENTS) -> None:
        """An Event; one that is there already is counted. Nothing waits for one that cannot be written."""
        try:
            await self._announced(event(about, said, now, kind), now)
        except ApiFailure as failure:
            _log.warning("event.failed", reason=said.reason, message=said.message, error=str(failure))

    async def _announced(self, wanted: Json, now: float) -> None:
        metadata = wanted["metadata"]
        try:
            await self._api.create(EVENTS, wanted)
        except Conflict:
            there = await self._api.get(EVENTS, metadata["namespace"], metadata["name"])
            self._may()
            await self._api.merge(EVENTS, metadata["namespace"], metadata["name"], again(there, now))

    async def write_status(self, kind: Kind, obj: Json, status: Json) -> Json:
        """The whole status of an object, if it is another, and if the object is as it was seen; the object
        with it.
        """
        if status == (obj.get("status") or {}):
            return obj
        self._may()
        names = ("name", "namespace", "resourceVersion")
        metadata = {name: obj["metadata"][name] for name in names}
        try:
            written = await self._api.apply(kind, {"metadata": metadata, "status": status}, "status")
        except Conflict:
            self._mirror.take(kind, await self._api.get(kind, metadata["namespace"], metadata["name"]))
            raise
        if kind == ANALYSIS_RUNS:
            self._run_seen(written)
        else:
            self._mirror.take(kind, written)
        return written


def _foreign(kind: Kind, name: str) -> str:
    return f"{kind.name} {name} is there and belongs to somebody else, or is about to go: remove or rename it"


def refusal(error: Exception) -> str | None:
    """Why doing the same again is of no use, in words; None where it may be of use."""
    if isinstance(error, Refused | ValidationError):
        return str(error)
    if isinstance(error, ApiFailure) and error.refused:
        return str(error)
    return None
