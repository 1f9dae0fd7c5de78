"""What to head for: what somebody ordered comes before what the spec says."""

from __future__ import annotations

from ostiary_operator.resources.model_deployment import Entry, ModelDeploymentStatus
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.rollout.aims import Aim, made_stable, without_candidate
from ostiary_operator.rollout.rollback import earlier
from ostiary_operator.rollout.rolling import Rolling
from ostiary_operator.rollout.settled import as_it_is, settled
from ostiary_operator.rollout.snapshot import Override, Snapshot


def aim(snapshot: Snapshot, status: ModelDeploymentStatus) -> Aim:
    """What to head for now; `status`: after what was asked (`hear`)."""
    order = snapshot.override
    if order is not None and order.spec.order == "Freeze":
        message = f"by {order.spec.actor}: {order.spec.reason}"
        return Aim(status, "Overridden", "Freeze", message, frozen=True)
    if order is not None:
        return _overridden(snapshot, status, order)
    named, stable = snapshot.spec.version_ref.name, status.stable
    if named not in snapshot.versions:
        message = f"versionRef: there is no ModelVersion {named} in this namespace"
        return as_it_is(snapshot, without_candidate(status), "UnknownVersion", message)
    if stable is None:
        return _first(snapshot, status, named)
    if named in (stable, status.rejected):
        return settled(snapshot, without_candidate(status), stable)
    return Rolling(snapshot, status, named, stable).aim()


def _first(snapshot: Snapshot, status: ModelDeploymentStatus, named: str) -> Aim:
    """No version has served yet: there is nothing to compare with, and nobody to take traffic from."""
    wanted = {named: snapshot.needed(named, WHOLE)}
    if snapshot.versions[named].ready == 0:
        return Aim(status, "Pending", "Loading", f"{named} has no ready pod yet", wanted=wanted)
    if snapshot.route.weights == {named: WHOLE} and snapshot.converged:
        return settled(snapshot, made_stable(status, named, snapshot.now, "the first version"), named)
    return Aim(status, "Pending", "Routing", f"{named} gets all traffic", {named: WHOLE}, wanted=wanted)


def _overridden(snapshot: Snapshot, status: ModelDeploymentStatus, order: Override) -> Aim:
    """All traffic to the version that was ordered, as fast as it can carry it.

    What a rollback leaves is rejected: when the order ends, the spec's version does not come back by itself.
    """
    target = order.spec.to_version or _before(status, order)
    if target is None or target not in snapshot.versions:
        missing = target or "earlier version"
        return as_it_is(snapshot, status, "UnknownVersion", f"override {order.name}: there is no {missing}")
    left = status.candidate or status.stable
    # What was aborted before is what the spec still names: that must not come back either.
    aborted = status.rejected == snapshot.spec.version_ref.name
    if order.spec.order == "Rollback" and left not in (None, target) and not aborted:
        status = status.model_copy(update={"rejected": left})
    message = f"to {target} by {order.spec.actor}: {order.spec.reason}"
    # A candidate that is left is remembered, too: at the next look nothing else says what the order did.
    if status.stable != target or status.candidate is not None:
        why = f"override {order.name}: {order.spec.reason}"
        status = made_stable(status, target, snapshot.now, why, order.uid or None)
    ideal, wanted = {target: WHOLE}, {target: snapshot.needed(target, WHOLE)}
    return Aim(without_candidate(status), "Overridden", order.spec.order, message, ideal, wanted=wanted)


def _before(status: ModelDeploymentStatus, order: Override) -> str | None:
    """Where an order without a version leads: to the stable version from a candidate, else to the one before.

    The order stays where it is while it is carried out, so what it has led to already is what it leads to.
    """
    if status.history and _led_to(status.history[-1], order):
        return status.stable
    if status.candidate is not None:
        return status.stable
    return next(iter(earlier(status.history, status.stable, status.rejected)), None)


def _led_to(entry: Entry, order: Override) -> bool:
    """Whether it was this very order, and not one before it of the same name. Histories that were written
    before orders were told apart so have only the name.
    """
    if entry.order is not None and order.uid:
        return entry.order == order.uid
    return entry.why.startswith(f"override {order.name}: ")
