"""`reconcile(snapshot) → plan`: the whole of what the keeper decides, without a clock and without I/O.

Doing half of a plan, or doing it twice, does no harm: what was done shows in the next snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator

from ostiary_operator.resources.conditions import Condition, truth, updated
from ostiary_operator.resources.model_deployment import ModelDeploymentStatus, Weights
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.rollout.actions import (
    Action,
    Announce,
    Plan,
    Remember,
    Scale,
    StartAnalysis,
    StartGate,
    StopAnalysis,
    StopGate,
    Verify,
    WriteRoute,
)
from ostiary_operator.rollout.aiming import aim
from ostiary_operator.rollout.aims import Aim
from ostiary_operator.rollout.gating import is_dispensable, job_name
from ostiary_operator.rollout.hearing import FOLLOWED, hear
from ostiary_operator.rollout.rollback import earlier, readiness
from ostiary_operator.rollout.snapshot import Proof, Snapshot
from ostiary_operator.rollout.weights import approach


def reconcile(snapshot: Snapshot) -> Plan:
    """What to do now, and what to remember."""
    heard = hear(snapshot)
    heading = aim(snapshot, heard.status)
    weights = _weights(snapshot, heading)
    status = _status(snapshot, heading, weights, heard.said)
    routed, said = list(_routed(snapshot, heading, weights)), list(_announced(snapshot.status, status))
    if routed and _is_further(snapshot.status, status):
        routed, said = [*said, Remember(status), *routed], []
    actions = [
        *_scaled_up(snapshot, heading),
        *routed,
        *_analysed(snapshot, heading),
        *_gated(snapshot, heading),
        *_scaled_down(snapshot, heading, weights),
        *said,
    ]
    return Plan(tuple(actions), status)


def _is_further(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> bool:
    """Whether the candidate has come to another step. With that one's share already on the route and the step
    before still in the status, a successor would take the share back first.
    """
    return after.candidate is not None and after.candidate == before.candidate and after.step != before.step


def _weights(snapshot: Snapshot, heading: Aim) -> dict[str, int]:
    """The shares to write. Where nothing is routed yet, a version with a ready pod takes everything: nobody
    else could.
    """
    current = dict(snapshot.route.weights)
    if heading.frozen or not heading.ideal:
        return current
    if not current:
        return dict(heading.ideal)
    return approach(current, heading.ideal, snapshot.carries)


def _scaled_up(snapshot: Snapshot, heading: Aim) -> Iterator[Action]:
    for version, replicas in sorted(heading.wanted.items()):
        if replicas > snapshot.versions[version].replicas:
            yield Scale(version, replicas)


def _routed(snapshot: Snapshot, heading: Aim, weights: dict[str, int]) -> Iterator[Action]:
    route = snapshot.route
    mirrors = route.mirrors if heading.frozen else heading.mirrors
    audience = route.audience if heading.frozen else heading.audience
    if weights and (weights, mirrors, audience) != (route.weights, route.mirrors, route.audience):
        yield WriteRoute(route.epoch + 1, weights, mirrors, audience)


def _analysed(snapshot: Snapshot, heading: Aim) -> Iterator[Action]:
    baseline = heading.status.stable
    for name, analysis in sorted(heading.runs.items()):
        if name not in snapshot.analyses and baseline is not None:
            candidate = heading.status.candidate or baseline
            before = next(iter(earlier(heading.status.history, candidate, None)), baseline)
            against = baseline if heading.status.candidate else before
            arms = any(pin.arm for pin in heading.audience)
            yield StartAnalysis(name, analysis.template, candidate, against, arms)
    for name, found in sorted(snapshot.analyses.items()):
        if found.phase == "Running" and name not in heading.runs:
            yield StopAnalysis(name)


def _gated(snapshot: Snapshot, heading: Aim) -> Iterator[Action]:
    """What gates' Jobs have said is written down, as long as it is what the spec still asks."""
    attempt = heading.status.attempt
    for name, job in sorted(snapshot.gate_jobs.items()):
        known = snapshot.versions.get(job.version)
        asked = name == job_name(snapshot, heading.status, job.version, job.gate)
        if asked and known is not None and job.phase in ("Passed", "Failed"):
            proof = Proof(job.phase == "Passed", job.message)
            if known.proofs.get(job.gate) != proof:
                yield Verify(job.version, job.gate, proof.passed, proof.figures)
        if is_dispensable(job, name, heading.gates, attempt):
            yield StopGate(name)
    candidate = heading.status.candidate
    for name, gate in sorted(heading.gates.items()):
        if name not in snapshot.gate_jobs and candidate is not None:
            yield StartGate(name, gate, candidate, attempt)


def _scaled_down(snapshot: Snapshot, heading: Aim, weights: dict[str, int]) -> Iterator[Action]:
    """Pods of versions without traffic. None goes before every live gateway has said that it sends nothing
    there any more, by the route as it stands: one that is written only now has been applied by nobody.
    """
    routed, mirrored = snapshot.route.weights, snapshot.route.mirrors
    if heading.frozen or not snapshot.converged or weights != routed:
        return
    warm = snapshot.spec.warm
    kept = earlier(heading.status.history, heading.status.stable, heading.status.rejected)[: warm.versions]
    for version, there in sorted(snapshot.versions.items()):
        if there.replicas == 0 or version in {*routed, *mirrored, *heading.wanted, *snapshot.route.pinned}:
            continue
        least = 0
        if version in kept:
            least = snapshot.needed(version, WHOLE) if warm.mode == "Full" else warm.replicas
        if least < there.replicas:
            yield Scale(version, least)


def _status(
    snapshot: Snapshot, heading: Aim, weights: dict[str, int], heard: Condition | None
) -> ModelDeploymentStatus:
    before = heading.status
    ready, rollback = readiness(snapshot, before)
    observed = dict(snapshot.route.weights) if snapshot.converged else dict(before.weights.observed)
    said = [
        one.model_copy(update={"observed_generation": snapshot.generation})
        for one in (*_conditions(snapshot, heading, weights), rollback, *([heard] if heard else []))
    ]
    return before.model_copy(
        update={
            "observed_generation": snapshot.generation,
            "phase": heading.phase,
            "weights": Weights(desired=weights, observed=observed),
            "candidate_weight": weights.get(before.candidate or "", 0),
            "ready_replicas": sum(version.ready for version in snapshot.versions.values()),
            "rollback_ready": ready,
            "conditions": updated(snapshot.status.conditions, said, snapshot.now),
        }
    )


def _conditions(snapshot: Snapshot, heading: Aim, weights: dict[str, int]) -> Iterator[Condition]:
    routed = [snapshot.versions[name] for name in weights if name in snapshot.versions]
    serving = any(version.ready for version in routed)
    applied = sum(one.epoch >= snapshot.route.epoch for one in snapshot.live)
    gateways = f"{applied} of {len(snapshot.live)} gateways have applied epoch {snapshot.route.epoch}"
    moving = heading.phase in ("Pending", "Progressing", "Aborting")
    there = snapshot.converged and weights == snapshot.route.weights
    yield _condition("Available", serving, "Serving" if serving else "NoReadyPod", heading.message)
    yield _condition("Progressing", moving, heading.reason, heading.message)
    yield _condition("Paused", heading.phase == "Paused", heading.reason, heading.message)
    yield _condition("Healthy", heading.phase == "Healthy", heading.reason, heading.message)
    yield _condition("RouteConverged", there, _convergence(snapshot), gateways)


def _convergence(snapshot: Snapshot) -> str:
    if not snapshot.live:
        return "NoGateways"
    return "Applied" if snapshot.converged else "Applying"


def _condition(type_: str, holds: bool, reason: str, message: str) -> Condition:
    return Condition(type=type_, status=truth(holds), reason=reason, message=message)


def _announced(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Action]:
    """One Event for each thing that changed and that people want to know."""
    progressing = next(one for one in after.conditions if one.type == "Progressing")
    if after.candidate and after.candidate != before.candidate:
        yield Announce("Normal", "RolloutStarted", f"{after.candidate} is to follow {after.stable}")
    if after.rejected and after.rejected != before.rejected:
        yield Announce("Warning", "RolloutAborted", f"{after.rejected}: {progressing.message}")
    if after.stable and after.stable != before.stable:
        yield Announce("Normal", "VersionStable", f"{after.stable} has all traffic; before: {before.stable}")
    if len(after.waived) > len(before.waived):
        yield Announce("Warning", "GateWaived", f"{after.candidate} was let past {after.waived[-1]} by hand")
    if before.step != after.step and after.candidate == before.candidate and after.candidate:
        yield Announce("Normal", "StepReached", f"step {after.step}: {progressing.message}")
    if after.phase != before.phase and after.phase in ("Paused", "Degraded", "Overridden"):
        grave = after.phase == "Degraded"
        yield Announce("Warning" if grave else "Normal", f"Rollout{after.phase}", progressing.message)
    yield from _told_of_requests(before, after)
    was = {one.type: one.status for one in before.conditions}
    rollback = next(one for one in after.conditions if one.type == "RollbackReady")
    if was.get("RollbackReady") == "True" and rollback.status != "True":
        yield Announce("Warning", "RollbackLost", rollback.message)


def _told_of_requests(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Action]:
    """What is not done as it was asked is told: once, since a request has an id of its own."""
    was = next((one.message for one in before.conditions if one.type == FOLLOWED), "")
    for one in after.conditions:
        if one.type == FOLLOWED and one.status != "True" and one.message != was:
            kept = one.status == "Unknown"
            yield Announce(
                "Normal" if kept else "Warning", f"Request{'Kept' if kept else 'Refused'}", one.message
            )
