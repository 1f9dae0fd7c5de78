"""What to head for: what somebody ordered comes before what the spec says."""

from __future__ import annotations

from ostiary_operator.resources.model_deployment import ModelDeploymentStatus
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.rollout.aims import Aim, made_stable, with_candidate, without_candidate
from ostiary_operator.rollout.rollback import earlier
from ostiary_operator.rollout.rolling import Rolling
from ostiary_operator.rollout.settled import as_it_is, settled
from ostiary_operator.rollout.snapshot import Override, Snapshot


def aim(snapshot: Snapshot) -> Aim:
    """What to head for now."""
    order = snapshot.override
    if order is not None and order.spec.order == "Freeze":
        message = f"by {order.spec.actor}: {order.spec.reason}"
        return Aim(snapshot.status, "Overridden", "Freeze", message, frozen=True)
    status = _asked(snapshot)
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
    if named != status.candidate:
        status = with_candidate(status, named, snapshot.now, snapshot.spec.strategy)
    return Rolling(snapshot, status, named, stable).aim()


def _asked(snapshot: Snapshot) -> ModelDeploymentStatus:
    """The status after a request that was not acted on yet."""
    request, status = snapshot.request, snapshot.status
    if request is None or request.id == status.answered:
        return status
    after: dict[str, object] = {"answered": request.id}
    if request.verb == "retry":
        after["rejected"] = None
    if status.candidate is None:
        return status.model_copy(update=after)
    steps = snapshot.spec.strategy.canary.steps
    if request.verb == "abort":
        after["rejected"] = status.candidate
    elif status.gate is not None and request.verb == "promote":
        # A gate is waited for whatever one asks, unless one insists.
        after["waived"] = (*status.waived, status.gate) if request.force else status.waived
    elif request.verb == "promote-full":
        past = {"step": len(steps), "shadowing": False, "comparing": False}
        after |= {**past, "since": snapshot.now, "held": request.force}
    elif request.verb == "promote" and (status.shadowing or status.comparing):
        after |= {"shadowing" if status.shadowing else "comparing": False, "since": snapshot.now}
    elif request.verb == "promote":
        # A share that is being given is waited for all the same.
        waits = status.step < len(steps) and steps[status.step].set_weight is None
        after |= {"step": status.step + waits, "since": snapshot.now, "held": request.force}
    return status.model_copy(update=after)


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
    if order.spec.order == "Rollback" and left not in (None, target):
        status = status.model_copy(update={"rejected": left})
    message = f"to {target} by {order.spec.actor}: {order.spec.reason}"
    # A candidate that is left is remembered, too: at the next look nothing else says what the order did.
    if status.stable != target or status.candidate is not None:
        status = made_stable(status, target, snapshot.now, f"override {order.name}: {order.spec.reason}")
    ideal, wanted = {target: WHOLE}, {target: snapshot.needed(target, WHOLE)}
    return Aim(without_candidate(status), "Overridden", order.spec.order, message, ideal, wanted=wanted)


def _before(status: ModelDeploymentStatus, order: Override) -> str | None:
    """Where an order without a version leads: to the stable version from a candidate, else to the one before.

    The order stays where it is while it is carried out, so what it has led to already is what it leads to.
    """
    if status.history and status.history[-1].why.startswith(f"override {order.name}: "):
        return status.stable
    if status.candidate is not None:
        return status.stable
    return next(iter(earlier(status.history, status.stable, status.rejected)), None)
