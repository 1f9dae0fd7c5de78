"""One look at one ModelDeployment, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from ostiary_operator.cluster.api import ApiFailure, NotFound
from ostiary_operator.cluster.carrying import Carrier, Refused, refusal
from ostiary_operator.cluster.kinds import (
    ANALYSIS_TEMPLATES,
    MODEL_DEPLOYMENTS,
    MODEL_OVERRIDES,
    MODEL_VERSIONS,
    PODS,
    VERSION,
    Json,
    labels,
)
from ostiary_operator.cluster.mirror import Key, Mirror
from ostiary_operator.cluster.pods import loading
from ostiary_operator.cluster.seeing import Seen, Sightings, Unreadable, see
from ostiary_operator.cluster.versions import described
from ostiary_operator.resources.analysis import AnalysisTemplateSpec
from ostiary_operator.resources.conditions import Condition, truth, updated
from ostiary_operator.resources.model_deployment import ModelDeploymentStatus
from ostiary_operator.resources.model_override import ModelOverrideStatus
from ostiary_operator.resources.model_version import ModelVersionStatus
from ostiary_operator.rollout.actions import Action, Announce, Plan, Remember, StartAnalysis
from ostiary_operator.rollout.reconcile import reconcile
from ostiary_operator.rollout.snapshot import Analysis, Override

_log = structlog.get_logger(__name__)
SOON, SELDOM = 1.0, 15.0
"""Seconds until the next look where something is on its way, and where nothing is; whatever changes is looked
at when it changes.
"""

_BEFORE_A_GATE = 5.0
"""Jobs and pods tell what becomes of them; quotas and what comes to the gateways do not."""


class Keeper:
    """Decides and has things done. One look at a ModelDeployment at a time; any number at different ones."""

    def __init__(
        self,
        mirror: Mirror,
        sightings: Sightings,
        carrier: Carrier,
        clock: Callable[[], float],
        acted: Callable[[Action], None] = lambda _: None,
    ) -> None:
        """`clock`: seconds since 1970; `acted`: told of each action that was carried out."""
        self._mirror = mirror
        self._sightings = sightings
        self._carrier = carrier
        self._clock = clock
        self._acted = acted

    async def look(self, key: Key) -> float:
        """A look; in how many seconds the next one is due.

        Raises:
            ApiFailure: not all was done; it is worth trying again.
            NotLeading: another keeper acts.
        """
        obj = self._mirror.get(MODEL_DEPLOYMENTS, *key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return SELDOM
        now = self._clock()
        try:
            seen = see(self._mirror, self._sightings, obj, now)
        except Unreadable as error:
            await self._complain(obj, error.reason, str(error), now)
            return SELDOM
        plan = self._plan(seen)
        try:
            for action in plan.actions:
                if isinstance(action, Remember):
                    seen = await self._remember(seen, action.status, now)
                else:
                    await self._carrier.do(seen, action, now)
                self._acted(action)
        except (ApiFailure, Refused, ValueError) as error:
            words = refusal(error)
            if words is None:
                raise
            await self._complain(seen.obj, "Refused", words, now)
            return SELDOM
        seen = await self._remember(seen, plan.status, now)
        await self._measure(seen)
        await self._say_of_orders(seen, now)
        return _due(seen, plan)

    def _plan(self, seen: Seen) -> Plan:
        """What is to be done. An analysis that cannot be begun counts as one with an error: people decide."""
        snapshot = seen.snapshot
        plan = reconcile(snapshot)
        for action in plan.actions:
            if isinstance(action, StartAnalysis) and (wrong := self._no_template(seen, action)):
                broken = {**snapshot.analyses, action.name: Analysis("Error", wrong)}
                plan = reconcile(replace(snapshot, analyses=broken))
        return plan

    def _no_template(self, seen: Seen, action: StartAnalysis) -> str:
        found = self._mirror.get(ANALYSIS_TEMPLATES, seen.obj["metadata"]["namespace"], action.template)
        if found is None:
            return f"there is no AnalysisTemplate {action.template}"
        try:
            AnalysisTemplateSpec.model_validate(found["spec"])
        except ValueError as error:
            return f"AnalysisTemplate {action.template}: {error}"
        return ""

    async def _remember(self, seen: Seen, status: ModelDeploymentStatus, now: float) -> Seen:
        """The plan's status, and whether the spec is one that can be followed; what was seen, with that."""
        if seen.problem:
            await self._tell_once(seen.obj, seen.reason, seen.problem, now)
        condition = _reconciled(seen.reason, seen.problem, seen.snapshot.generation)
        status = _with(status, condition, seen.snapshot.status, now)
        if seen.reason == "InvalidSpec":
            # What is followed in its place is not what the spec names.
            before = seen.snapshot.status.named
            status = status.model_copy(update={"phase": "Degraded", "named": before})
        return replace(
            seen, obj=await self._carrier.write_status(MODEL_DEPLOYMENTS, seen.obj, dumped(status))
        )

    async def _complain(self, obj: Json, reason: str, message: str, now: float) -> None:
        """A condition and an Event, and everything else as it was."""
        await self._tell_once(obj, reason, message, now)
        generation = int(obj["metadata"].get("generation", 0))
        condition = _reconciled(reason, message, generation)
        try:
            before = ModelDeploymentStatus.model_validate(obj.get("status") or {})
        except ValueError:
            return  # what people may want to mend is not overwritten; the Event has told
        status = _with(before, condition, before, now)
        if not before.since:
            status = status.model_copy(update={"since": now})
        if not before.observed_generation:
            status = status.model_copy(update={"phase": "Degraded"})
        await self._carrier.write_status(MODEL_DEPLOYMENTS, obj, dumped(status))

    async def _tell_once(self, obj: Json, reason: str, message: str, now: float) -> None:
        """An Event where the condition did not say so already."""
        said = (obj.get("status") or {}).get("conditions") or ()
        if any(one["type"] == "Reconciled" and one.get("message") == message for one in said):
            return
        name = "/".join((obj["metadata"]["namespace"], obj["metadata"]["name"]))
        _log.warning("not_reconciled", of=name, reason=reason, error=message)
        await self._carrier.announce(obj, Announce("Warning", reason, message), now)

    async def _measure(self, seen: Seen) -> None:
        """How long pods took to load, for as long as there are any to tell."""
        namespace, model = seen.obj["metadata"]["namespace"], seen.snapshot.spec.model
        by_version: dict[str, list[Json]] = {}
        for pod in self._mirror.about(PODS, namespace, model).values():
            by_version.setdefault(str(labels(pod).get(VERSION)), []).append(pod)
        for name, its_pods in by_version.items():
            version, took = self._mirror.get(MODEL_VERSIONS, namespace, name), loading(its_pods)
            if version is None or took is None:
                continue
            read = self._mirror.read(MODEL_VERSIONS, namespace, name, described)
            if read is None or (read.status.load_seconds_p50, read.status.load_seconds_p95) == took:
                continue
            changes = {"load_seconds_p50": took[0], "load_seconds_p95": took[1]}
            status = dumped(read.status.model_copy(update=changes))
            await self._carrier.write_status(MODEL_VERSIONS, version, status)

    async def _say_of_orders(self, seen: Seen, now: float) -> None:
        """Which order is in force, on the orders themselves: they are what is looked at afterwards."""
        namespace, holds = seen.obj["metadata"]["namespace"], seen.snapshot.override
        for order in seen.snapshot.overrides:
            found = self._mirror.get(MODEL_OVERRIDES, namespace, order.name)
            if found is None or found["metadata"].get("uid") != order.uid:
                continue  # it is gone, and what is called so now is another one
            before = ModelOverrideStatus.model_validate(found.get("status") or {})
            was = next((one for one in before.conditions if one.type == "InForce"), None)
            condition = _in_force(order, holds, now, int(found["metadata"].get("generation", 0)), was)
            if condition.reason == "Missed" and was is None:
                missed = Announce("Warning", "OrderMissed", f"{order.name}: {condition.message}")
                await self._carrier.announce(seen.obj, missed, now)
            conditions = updated(before.conditions, (condition,), now)
            try:
                await self._carrier.write_status(
                    MODEL_OVERRIDES, found, dumped(ModelOverrideStatus(conditions=conditions))
                )
            except NotFound:
                continue  # it has been taken back meanwhile


def _in_force(
    order: Override, holds: Override | None, now: float, generation: int, was: Condition | None
) -> Condition:
    if holds is not None and holds == order:
        reason, message = "Followed", "this order is followed"
    elif order.spec.expires_at <= now and (was is None or was.reason == "Missed"):
        reason, message = "Missed", "this order ended before it was seen: nothing was done for it"
    elif order.spec.expires_at <= now:
        reason, message = "Expired", "this order has ended"
    else:
        reason, message = "Superseded", f"{holds.name if holds else 'another order'} is newer"
    return Condition(
        type="InForce",
        status=truth(reason == "Followed"),
        reason=reason,
        message=message,
        observed_generation=generation,
    )


def _reconciled(reason: str, message: str, generation: int) -> Condition:
    return Condition(
        type="Reconciled",
        status=truth(not reason),
        reason=reason or "Done",
        message=message[:4096],
        observed_generation=generation,
    )


def _with(
    status: ModelDeploymentStatus, condition: Condition, before: ModelDeploymentStatus, now: float
) -> ModelDeploymentStatus:
    old = [one for one in before.conditions if one.type == condition.type]
    others = [one for one in status.conditions if one.type != condition.type]
    return status.model_copy(update={"conditions": updated([*others, *old], (condition,), now)})


def dumped(status: ModelDeploymentStatus | ModelVersionStatus | ModelOverrideStatus) -> Json:
    """A status as it is written."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _due(seen: Seen, plan: Plan) -> float:
    """When something may be different without anything having been changed."""
    status, spec, snapshot = plan.status, seen.snapshot.spec, seen.snapshot
    if status.gate is not None and snapshot.converged:
        return _BEFORE_A_GATE
    if status.phase in ("Pending", "Progressing", "Aborting") or not snapshot.converged:
        return SOON if snapshot.live else SELDOM
    if any(not isinstance(action, Announce) for action in plan.actions):
        return SOON
    steps = spec.strategy.canary.steps
    if status.phase == "Paused" and not spec.paused and status.candidate and status.step < len(steps):
        wait = steps[status.step].pause_seconds
        if wait is not None:
            return min(SELDOM, max(0.05, status.since + wait - snapshot.now + 0.05))
    return SELDOM
