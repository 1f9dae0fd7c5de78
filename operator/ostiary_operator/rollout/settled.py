"""One version has all the traffic, or is to get it back."""

from __future__ import annotations

from dataclasses import replace

from ostiary_operator.resources.model_deployment import ModelDeploymentStatus, PostPromotion
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.rollout.aims import Aim, made_stable, run_name
from ostiary_operator.rollout.rollback import earlier
from ostiary_operator.rollout.snapshot import Snapshot


def settled(snapshot: Snapshot, status: ModelDeploymentStatus, stable: str) -> Aim:
    """All traffic for the stable version; for a while after its promotion, a look at how it bears it."""
    watch = snapshot.spec.post_promotion
    if status.promoted_at is None or watch.analysis is None:
        return all_traffic(snapshot, status, stable)
    return _watched(snapshot, status, stable, watch, status.promoted_at)


def _watched(
    snapshot: Snapshot, status: ModelDeploymentStatus, stable: str, watch: PostPromotion, since: float
) -> Aim:
    """Back to the version before where the analysis fails, which is why that one is kept warm."""
    name = run_name(snapshot, status, stable, "after")
    found = snapshot.analyses.get(name)
    before = next(iter(earlier(status.history, stable, status.rejected)), None)
    if found is not None and found.phase == "Failed" and before is not None and before in snapshot.versions:
        why = f"{stable} failed after its promotion: {found.message}"
        back = made_stable(status, before, snapshot.now, why).model_copy(update={"rejected": stable})
        return all_traffic(snapshot, back, before)
    if snapshot.now - since >= watch.seconds:
        return all_traffic(snapshot, status.model_copy(update={"promoted_at": None}), stable)
    aim = all_traffic(snapshot, status, stable)
    return replace(aim, runs={name: watch.analysis} if watch.analysis else {})


def all_traffic(snapshot: Snapshot, status: ModelDeploymentStatus, stable: str) -> Aim:
    """The stable version gets everything, as fast as it can carry it."""
    ideal = {stable: WHOLE}
    wanted = {stable: snapshot.needed(stable, WHOLE)} if stable in snapshot.versions else {}
    arrived = snapshot.route.weights == ideal and not snapshot.route.audience and snapshot.converged
    if status.rejected is not None and status.rejected == snapshot.spec.version_ref.name:
        why = f"{status.rejected} was taken back; {stable} serves until the spec names another version"
        reason, failure = "Aborted", status.gate_failure
        if failure is not None and failure.version == status.rejected:
            reason, why = "GateFailed", f"gate {failure.gate}: {failure.figures}; {why}"
        return Aim(status, "Degraded" if arrived else "Aborting", reason, why, ideal, wanted=wanted)
    if not arrived:
        return Aim(status, "Aborting", "TakingBack", f"{stable} gets all traffic", ideal, wanted=wanted)
    return Aim(status, "Healthy", "Stable", f"{stable} serves", ideal, wanted=wanted)


def as_it_is(snapshot: Snapshot, status: ModelDeploymentStatus, reason: str, message: str) -> Aim:
    """Something makes no sense: what serves goes on serving."""
    if status.stable is None or status.stable not in snapshot.versions:
        return Aim(status, "Degraded", reason, message, frozen=True)
    aim = all_traffic(snapshot, status, status.stable)
    return replace(aim, phase="Degraded", reason=reason, message=message)
