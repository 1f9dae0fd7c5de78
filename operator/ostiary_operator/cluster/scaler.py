"""One look at one GPUAutoscaler, and what follows from it: the edge of `autoscaling.decide`.

Who has the number of a version's pods: without traffic, the rollout alone (what is warm, what is on its way).
With traffic, the autoscaler, and the rollout adds what its next step needs and takes nothing away; that much
is the floor under each decision here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog
from pydantic import ValidationError

from ostiary_operator.autoscaling.decide import decide
from ostiary_operator.autoscaling.decision import Condition as Found
from ostiary_operator.autoscaling.decision import Decision
from ostiary_operator.autoscaling.inputs import Inputs
from ostiary_operator.autoscaling.log import line
from ostiary_operator.autoscaling.memory import Memory
from ostiary_operator.autoscaling.spec import AutoscalerSpec
from ostiary_operator.cluster.api import ApiFailure
from ostiary_operator.cluster.carrying import Carrier, refusal
from ostiary_operator.cluster.decision_file import DecisionFile
from ostiary_operator.cluster.fleet import Shares, pod_sample, pods_of, share_of
from ostiary_operator.cluster.kinds import (
    DEPLOYMENTS,
    GPU_AUTOSCALERS,
    MODEL,
    MODEL_DEPLOYMENTS,
    Json,
    labels,
    owned_by,
)
from ostiary_operator.cluster.metering import Measured, PodFigures, measure
from ostiary_operator.cluster.mirror import Key, Mirror
from ostiary_operator.cluster.prometheus import Source
from ostiary_operator.cluster.scaled import remembered, same_story, status_with, unreadable_as_none
from ostiary_operator.cluster.seeing import Seen, Sightings, Unreadable, in_words, see
from ostiary_operator.cluster.versions import autoscaler_of
from ostiary_operator.resources.gpu_autoscaler import AutoscalerStatus
from ostiary_operator.rollout.actions import Announce
from ostiary_operator.rollout.aiming import aim
from ostiary_operator.rollout.hearing import hear

_log = structlog.get_logger(__name__)
SYNC = 15.0
"""Seconds between two decisions, as with a HorizontalPodAutoscaler."""
_TOLD_EVERY = 60.0
"""A status that would say the same with other figures is written so seldom."""


@dataclass
class _Known:
    """What one look leaves for the next."""

    memory: Memory
    decisions: tuple[Json, ...]
    shares: Shares = field(default_factory=Shares)
    told_at: float = 0.0


@dataclass(frozen=True)
class _Target:
    """What is scaled."""

    deployment: Json
    model: str
    seen: Seen


class _Unscalable(Exception):  # noqa: N818  # says what stands in the way
    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Scaler:
    """Decides and has it done. One look at a GPUAutoscaler at a time; any number at different ones."""

    def __init__(
        self,
        mirror: Mirror,
        sightings: Sightings,
        carrier: Carrier,
        source: Source | None,
        clock: Callable[[], float],
        decisions: DecisionFile | None = None,
    ) -> None:
        """`source`: None where none is set up. `clock`: seconds since 1970. `decisions`: the log, if any."""
        self._mirror = mirror
        self._sightings = sightings
        self._carrier = carrier
        self._source = source
        self._clock = clock
        self._log = decisions
        self._known: dict[Key, _Known] = {}

    def forget_all(self) -> None:
        """Somebody else may have decided meanwhile: what the objects' status says is what is known."""
        self._known.clear()

    async def look(self, key: Key) -> float:
        """A look; in how many seconds the next one is due.

        Raises:
            ApiFailure: not all was done; it is worth trying again.
            NotLeading: another keeper acts.
        """
        obj = self._mirror.get(GPU_AUTOSCALERS, *key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            self._known.pop(key, None)
            return SYNC
        try:
            spec = _spec(obj)
            self._target(obj, spec, self._clock())
            measured = await measure(self._source, spec, key[0], spec.scale_target_ref.name, self._clock())
            # All that follows is of one moment: the cluster as it is after the wait.
            now = self._clock()
            obj = self._mirror.get(GPU_AUTOSCALERS, *key) or obj
            spec = _spec(obj)
            await self._scaled(obj, spec, self._target(obj, spec, now), measured, now)
        except _Unscalable as error:
            await self._stopped(obj, error.reason, str(error))
        except ApiFailure as error:
            words = refusal(error)
            if words is None:
                raise
            await self._stopped(obj, "Refused", words)
        return SYNC

    def _target(self, obj: Json, spec: AutoscalerSpec, now: float) -> _Target:
        """What is to be scaled. Raises _Unscalable where it is not for this autoscaler to do."""
        namespace, version = obj["metadata"]["namespace"], spec.scale_target_ref.name
        first = autoscaler_of(self._mirror, namespace, version)
        if first is not None and first["metadata"]["uid"] != obj["metadata"]["uid"]:
            name = first["metadata"]["name"]
            raise _Unscalable("TargetTaken", f"GPUAutoscaler {name} scales {version} already")
        deployment = self._mirror.get(DEPLOYMENTS, namespace, version)
        if deployment is None:
            why = f"there is no Deployment {version} of a ModelVersion in this namespace (yet)"
            raise _Unscalable("TargetNotFound", why)
        model = str(labels(deployment)[MODEL])
        owner = next(
            (
                one
                for one in self._mirror.about(MODEL_DEPLOYMENTS, namespace, model).values()
                if owned_by(deployment, one)
            ),
            None,
        )
        if owner is None:
            raise _Unscalable("TargetNotKept", f"Deployment {version} belongs to no ModelDeployment")
        try:
            seen = see(self._mirror, self._sightings, owner, now)
        except Unreadable as error:
            raise _Unscalable(
                "RolloutUnknown", f"ModelDeployment {owner['metadata']['name']}: {error}"
            ) from error
        if version not in seen.snapshot.versions:
            why = f"what a pod of {version} carries is not known: is its ModelVersion there, and in order?"
            raise _Unscalable("RolloutUnknown", why)
        route = seen.snapshot.route
        if not share_of(route.weights, route.mirrors, version) and version not in route.pinned:
            why = f"{version} has no traffic: its pods are the rollout's"
            raise _Unscalable("KeptByRollout", why)
        return _Target(deployment, model, seen)

    async def _scaled(
        self, obj: Json, spec: AutoscalerSpec, target: _Target, measured: Measured, now: float
    ) -> None:
        """Decide, and have it done, logged and told, in this order."""
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        known = self._known.get(key)
        current = int(target.deployment["spec"]["replicas"])
        if known is None:
            status = unreadable_as_none(obj)
            known = self._known[key] = _Known(remembered(status, current, now), status.decisions)
        inputs, pods = self._inputs(spec, target, measured, known.shares, now)
        decision = decide(spec, inputs, known.memory, now)
        if decision.desired != decision.current:
            try:
                await self._carrier.rescale(target.deployment, decision.desired, decision.victims, pods)
            except ApiFailure as failure:
                if not failure.code or failure.code >= 500:
                    # It may have been done all the same, and then counts for the rates.
                    known.memory = decision.memory
                raise
        known.memory = decision.memory
        if self._log is not None:
            self._log.write(line("/".join(key), now, spec, inputs, decision))
        await self._tell(obj, known, decision, measured.trouble, now)

    def _inputs(
        self, spec: AutoscalerSpec, target: _Target, measured: Measured, shares: Shares, now: float
    ) -> tuple[Inputs, Sequence[Json]]:
        """What the decision looks at, and the pods that it is about."""
        snapshot, version = target.seen.snapshot, spec.scale_target_ref.name
        # A trial is told with the floor that there would be if it were in earnest.
        mine = replace(snapshot.versions[version], bounds=(spec.min_replicas, spec.max_replicas))
        with_mine = replace(snapshot, versions={**snapshot.versions, version: mine})
        heading = aim(with_mine, hear(with_mine).status)
        route = snapshot.route
        current = int(target.deployment["spec"]["replicas"])
        pods = pods_of(self._mirror, target.deployment["metadata"]["namespace"], target.model, version)
        share = share_of(route.weights, route.mirrors, version)
        inputs = Inputs(
            current=current,
            pods=tuple(
                pod_sample(pod, measured.pods.get(pod["metadata"]["name"], PodFigures())) for pod in pods
            ),
            gateways=shares.samples(spec, measured, share, len(snapshot.live), now),
            floor=current if heading.frozen else heading.wanted.get(version, 0),
        )
        return inputs, pods

    async def _tell(self, obj: Json, known: _Known, decision: Decision, trouble: str, now: float) -> None:
        """Events for what has changed, and the status; the same with other figures only now and then."""
        document = {"at": round(now, 3), **decision.document()}
        same = bool(known.decisions) and same_story(known.decisions[-1], document)
        known.decisions = (*known.decisions[:-1], document) if same else (*known.decisions, document)[-20:]
        before = unreadable_as_none(obj)
        status = status_with(before, obj, decision, _with_source(decision.conditions, trouble), now)
        status = status.model_copy(update={"decisions": known.decisions})
        for said in _announced(before, status, decision):
            await self._carrier.announce(obj, said, now, GPU_AUTOSCALERS)
        if same and _signs(before) == _signs(status) and 0.0 <= now - known.told_at < _TOLD_EVERY:
            return
        await self._write(obj, status)
        known.told_at = now

    async def _stopped(self, obj: Json, reason: str, message: str) -> None:
        """Nothing is decided, and why; what was decided before stays to be read."""
        now, before = self._clock(), unreadable_as_none(obj)
        self._known.pop((obj["metadata"]["namespace"], obj["metadata"]["name"]), None)
        said = message[:1024]
        status = status_with(
            before,
            obj,
            None,
            (Found("AbleToScale", False, reason, said), Found("ScalingActive", False, reason, said)),
            now,
        )
        if reason != "KeptByRollout":
            for announced in _announced(before, status, None):
                await self._carrier.announce(obj, announced, now, GPU_AUTOSCALERS)
        await self._write(obj, status)

    async def _write(self, obj: Json, status: AutoscalerStatus) -> None:
        dumped = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        await self._carrier.write_status(GPU_AUTOSCALERS, obj, dumped)


def _spec(obj: Json) -> AutoscalerSpec:
    try:
        return AutoscalerSpec.model_validate(obj.get("spec") or {})
    except ValidationError as error:
        raise _Unscalable("InvalidSpec", in_words(error, "spec.")) from error


def _with_source(conditions: Iterable[Found], trouble: str) -> tuple[Found, ...]:
    """The conditions, with why nothing could be measured where nothing could."""
    return tuple(
        Found(one.type, False, "SourceUnreachable", f"{trouble}; {one.message}")
        if trouble and one.type == "MetricsHealthy"
        else one
        for one in conditions
    )


def _signs(status: AutoscalerStatus) -> list[tuple[str, str, str]]:
    return [(one.type, one.status, one.reason) for one in status.conditions]


def _announced(
    before: AutoscalerStatus, after: AutoscalerStatus, decision: Decision | None
) -> Iterable[Announce]:
    """One Event for each thing that changed and that people want to know."""
    if decision is not None and decision.desired != decision.current:
        why = decision.steps[-1].why if decision.steps else _asker(decision)
        yield Announce("Normal", "SuccessfulRescale", f"{decision.current} → {decision.desired}: {why}")
    told = {one.reason for one in before.conditions if one.status == "False"}
    for one in after.conditions:
        grave = one.type in ("AbleToScale", "ScalingActive", "MetricsHealthy") and one.status == "False"
        if grave and one.reason not in told:
            told.add(one.reason)
            meant = one.reason in ("Frozen", "DryRun")
            yield Announce("Normal" if meant else "Warning", one.reason, f"{one.type}: {one.message}")


def _asker(decision: Decision) -> str:
    names = [one.name for one in decision.readings if one.proposal == decision.raw]
    return f"{', '.join(names) or 'nobody'} asks for {decision.raw}"
