"""What the keeper knows → the snapshot that a decision is made from. No I/O."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from ostiary_operator.cluster.gate_jobs import gate_seen
from ostiary_operator.cluster.kinds import (
    ACKED,
    ANALYSIS_RUNS,
    JOBS,
    LEASES,
    MODEL_DEPLOYMENTS,
    MODEL_OVERRIDES,
    PODS,
    RATES,
    TRAFFIC_ROUTES,
    Json,
    annotated,
    owned_by,
)
from ostiary_operator.cluster.mirror import Key, Mirror
from ostiary_operator.cluster.route import written
from ostiary_operator.cluster.versions import versions
from ostiary_operator.resources.analysis import AnalysisRunStatus
from ostiary_operator.resources.asked import asked
from ostiary_operator.resources.model_deployment import Entry, ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.rollout.snapshot import (
    LEASE_SECONDS,
    Analysis,
    GateJob,
    Gateway,
    Override,
    Request,
    Route,
    Snapshot,
)

_PEAK_SECONDS = 60.0


@dataclass
class Sightings:
    """When each gateway's Lease was last seen to change, by the keeper's own clock: gateways' clocks may
    differ from it. One that is seen for the first time counts as alive until it has had time to show that it
    is not.
    """

    _seen: dict[Key, tuple[str, float]] = field(default_factory=dict)
    _rates: dict[Key, deque[tuple[float, Mapping[str, float]]]] = field(default_factory=dict)

    def note(self, lease: Json, now: float) -> None:
        """A Lease as it is."""
        key = _key(lease)
        renewed = str((lease.get("spec") or {}).get("renewTime"))
        if key not in self._seen or self._seen[key][0] != renewed:
            self._seen[key] = (renewed, now)
        rates = self._rates.setdefault(key, deque())
        rates.append((now, _by_route(lease, RATES)))
        while rates[0][0] < now - _PEAK_SECONDS:
            rates.popleft()

    def forget(self, lease: Json) -> None:
        """A Lease is gone."""
        self._seen.pop(_key(lease), None)
        self._rates.pop(_key(lease), None)

    def at(self, lease: Json) -> float:
        """When it was renewed."""
        return self._seen[_key(lease)][1]

    def rate(self, lease: Json, route: str) -> float | None:
        """The most checks a second that the gateway has lately said come to it; None: it does not say.

        A lull of some seconds is no reason to believe that few pods can carry everything.
        """
        said = [rates[route] for _, rates in self._rates[_key(lease)] if route in rates]
        return max(said, default=None)


def _key(obj: Json) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


@dataclass(frozen=True)
class Seen:
    """`obj`: the ModelDeployment. `route`: its TrafficRoute, or None. `reason` and `problem`: what of the
    object cannot be followed, in a word and in full; empty where there is nothing. What is there stays then.
    """

    obj: Json
    snapshot: Snapshot
    route: Json | None
    reason: str = ""
    problem: str = ""


class Unreadable(Exception):  # noqa: N818  # says what the object is
    """A ModelDeployment of which nothing can be made; `reason` says why in a word."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def see(mirror: Mirror, sightings: Sightings, obj: Json, now: float) -> Seen:
    """Everything that concerns a ModelDeployment.

    Raises:
        Unreadable: its status is not one that the keeper wrote, it has never had a spec that makes sense, or
            the model is that of another.
    """
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    model = str((obj.get("spec") or {}).get("model"))
    if (rival := _rival(mirror, obj, namespace, model)) is not None:
        message = f"model: {model} is that of ModelDeployment {rival} already; name another"
        raise Unreadable("ModelTaken", message)
    route_object = mirror.get(TRAFFIC_ROUTES, namespace, model)
    gateways = _gateways(mirror, sightings, namespace, model)
    route = written(route_object, max((one.epoch for one in gateways.values()), default=0))
    status = _status(obj, route, now)
    spec, reason, problem = _spec(obj, status)
    request, refused = _request(obj)
    if refused and not problem:
        reason, problem = "BadRequest", refused
    gate_jobs = _gate_jobs(mirror, obj, namespace, model, now)
    gated = {spec.version_ref.name, status.candidate, *(job.version for job in gate_jobs.values())}
    snapshot = Snapshot(
        now=now,
        name=name,
        generation=int(obj["metadata"].get("generation", 0)),
        spec=spec,
        status=status,
        versions=versions(mirror, namespace, model, spec.strategy.gates, gated),
        route=route,
        gateways=gateways,
        demand=_demand(mirror, sightings, gateways, namespace, model, now),
        overrides=_overrides(mirror, namespace, name),
        analyses=_analyses(mirror, obj, namespace, model),
        request=request,
        gate_jobs=gate_jobs,
        uid=str(obj["metadata"].get("uid", "")),
    )
    return Seen(obj, snapshot, route_object, reason, problem)


def _rival(mirror: Mirror, obj: Json, namespace: str, model: str) -> str | None:
    """Another ModelDeployment for the same model: the route's owner or, without a route, the oldest."""
    route = mirror.get(TRAFFIC_ROUTES, namespace, model)
    order = [
        (route is None or not owned_by(route, one), one["metadata"].get("creationTimestamp", ""), name)
        for name, one in mirror.about(MODEL_DEPLOYMENTS, namespace, model).items()
    ]
    first = min(order, default=(False, "", obj["metadata"]["name"]))[2]
    return None if first == obj["metadata"]["name"] else first


def _status(obj: Json, route: Route, now: float) -> ModelDeploymentStatus:
    """What the keeper remembers. Where that was lost (a backup holds no status), the version with most of the
    traffic counts as the stable one: nothing is rolled without steps because of it.
    """
    found = obj.get("status")
    if found:
        try:
            kept = ModelDeploymentStatus.model_validate(found)
            return kept if kept.since else kept.model_copy(update={"since": now})
        except ValidationError as error:
            message = f"status: not what a keeper wrote: {in_words(error)}; mend it, or remove it as a whole"
            raise Unreadable("BadStatus", message) from error
    if not route.weights:
        return ModelDeploymentStatus(since=now)
    stable = max(sorted(route.weights), key=lambda name: route.weights[name])
    history = (Entry(version=stable, at=now, why="has most of the traffic; what was before is not known"),)
    return ModelDeploymentStatus(stable=stable, history=history, since=now)


def _spec(obj: Json, status: ModelDeploymentStatus) -> tuple[ModelDeploymentSpec, str, str]:
    """The spec; where it makes no sense, one by which everything stays where it is, and why."""
    found = obj.get("spec") or {}
    try:
        return ModelDeploymentSpec.model_validate(found), "", ""
    except ValidationError as error:
        words = in_words(error)
    stays = status.candidate or status.stable
    if stays is None:
        raise Unreadable("InvalidSpec", words)
    held = {**found, "strategy": {}, "versionRef": {"name": stays}, "paused": True}
    try:
        return ModelDeploymentSpec.model_validate(held), "InvalidSpec", words
    except ValidationError as error:
        raise Unreadable("InvalidSpec", words) from error


def _request(obj: Json) -> tuple[Request | None, str]:
    try:
        return asked(annotated(obj)), ""
    except ValueError as error:
        return None, str(error)


def in_words(error: ValidationError, under: str = "") -> str:
    """Each field, with `under` before it, and what is wrong with it."""
    return "; ".join(
        f"{under}{'.'.join(str(part) for part in one['loc'])}: {one['msg'].removeprefix('Value error, ')}"
        for one in error.errors()
    )


def _gateways(mirror: Mirror, sightings: Sightings, namespace: str, model: str) -> dict[str, Gateway]:
    """Gateways that have ever applied the route; others send nothing by it."""
    found = {}
    for name, lease in mirror.about(LEASES, namespace).items():
        if (epoch := acked(lease).get(model)) is not None:
            found[name] = Gateway(epoch, sightings.at(lease))
    return found


def _demand(
    mirror: Mirror,
    sightings: Sightings,
    gateways: Mapping[str, Gateway],
    namespace: str,
    model: str,
    now: float,
) -> float | None:
    """Checks a second over all gateways that are there; None where one of them does not say."""
    leases = mirror.about(LEASES, namespace)
    live = [name for name, one in gateways.items() if now - one.renewed_at <= LEASE_SECONDS]
    rates = [sightings.rate(leases[name], model) for name in live]
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known and len(known) == len(rates) else None


def acked(lease: Json) -> Mapping[str, int]:
    """The epochs that a gateway has applied, by route."""
    return {route: int(epoch) for route, epoch in _by_route(lease, ACKED).items()}


def _by_route(lease: Json, annotation: str) -> Mapping[str, float]:
    """Numbers of an annotation; none where it holds none, or none that can be read."""
    try:
        said = {str(name): float(number) for name, number in json.loads(annotated(lease)[annotation]).items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
    return {name: number for name, number in said.items() if math.isfinite(number) and number >= 0.0}


def _gate_jobs(mirror: Mirror, obj: Json, namespace: str, model: str, now: float) -> dict[str, GateJob]:
    """Jobs of gates of this very object."""
    own = {name: job for name, job in mirror.about(JOBS, namespace, model).items() if owned_by(job, obj)}
    there = list(mirror.about(PODS, namespace, model).values()) if own else []
    seen = {name: gate_seen(job, there, now) for name, job in own.items()}
    return {name: job for name, job in seen.items() if job is not None}


def _overrides(mirror: Mirror, namespace: str, name: str) -> tuple[Override, ...]:
    """Orders about a ModelDeployment, in force or not."""
    found = []
    for order in mirror.about(MODEL_OVERRIDES, namespace, name).values():
        try:
            spec = ModelOverrideSpec.model_validate(order["spec"])
            created = datetime.fromisoformat(order["metadata"]["creationTimestamp"]).timestamp()
        except (KeyError, ValueError):  # of which pydantic's is one; the schema lets none pass
            continue
        if not order["metadata"].get("deletionTimestamp"):
            metadata = order["metadata"]
            found.append(Override(metadata["name"], created, spec, str(metadata.get("uid", ""))))
    return tuple(found)


def _analyses(mirror: Mirror, obj: Json, namespace: str, model: str) -> dict[str, Analysis]:
    """Runs of this very object: one before it that was called the same had others."""
    found = {}
    for name, run in mirror.about(ANALYSIS_RUNS, namespace, model).items():
        if owned_by(run, obj):
            try:
                status = AnalysisRunStatus.model_validate(run.get("status") or {})
            except ValidationError as error:
                found[name] = Analysis("Error", f"status: {in_words(error)}")
            else:
                found[name] = Analysis(status.phase, status.message)
    return found
