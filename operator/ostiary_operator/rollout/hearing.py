"""What becomes of a request: each is followed, refused or kept, and it is said which; none is lost.

A request that names its version holds for that one, whether or not its way has begun, and for no other.
"""

from __future__ import annotations

from dataclasses import dataclass

from ostiary_operator.resources.conditions import Condition, Truth
from ostiary_operator.resources.model_deployment import ModelDeploymentStatus
from ostiary_operator.rollout.aims import with_candidate
from ostiary_operator.rollout.snapshot import Request, Snapshot

FOLLOWED = "RequestFollowed"
"""The condition that says what became of the last request."""


@dataclass(frozen=True)
class Heard:
    """`status`: what to go on from, with the candidate that is on its way now. `said`: what became of a
    request that was not acted on yet; None without one.
    """

    status: ModelDeploymentStatus
    said: Condition | None = None


class _Refused(Exception):  # noqa: N818  # says what was
    """A request that cannot be followed; the message says why and what to do."""


def hear(snapshot: Snapshot) -> Heard:
    """The status after a request, if there is one that was not acted on yet."""
    request, status, order = snapshot.request, named_anew(snapshot), snapshot.override
    new = request is not None and request.id != status.answered
    if order is not None and order.spec.order == "Freeze":
        kept = f"is kept until order {order.name} (Freeze) has ended"
        return Heard(status, _said(request, "Unknown", "Frozen", kept) if request and new else None)
    if request is None or not new:
        return Heard(begun(snapshot, status))
    answered = status.model_copy(update={"answered": request.id})
    try:
        after = _followed(snapshot, answered, request)
    except _Refused as why:
        return Heard(begun(snapshot, answered), _said(request, "False", "Refused", str(why)))
    return Heard(begun(snapshot, after), _said(request, "True", "Followed", "is followed"))


def named_anew(snapshot: Snapshot) -> ModelDeploymentStatus:
    """The status with what the spec names. A version that was rejected, and that the spec names again after
    it has named another, is to be tried again. A name of nothing is a slip, and does not count.
    """
    status, named = snapshot.status, snapshot.spec.version_ref.name
    if named not in snapshot.versions:
        return status
    again = status.rejected == named and not status.holds_back(named) and snapshot.override is None
    forgotten = {"rejected": None, "gate_failure": None} if again else {}
    return status.model_copy(update={"named": named, **forgotten})


def begun(snapshot: Snapshot, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The status where the version that the spec names is on its way, if it is to be."""
    named = snapshot.spec.version_ref.name
    if snapshot.override is not None or status.stable is None or named not in snapshot.versions:
        return status
    if named in (status.stable, status.rejected, status.candidate):
        return status
    return with_candidate(status, named, snapshot.now, snapshot.spec.strategy)


def stage(status: ModelDeploymentStatus) -> str:
    """Where a candidate is: what a promotion takes it past."""
    at = "shadow" if status.shadowing else "ab" if status.comparing else f"step {status.step + 1}"
    return f"{at}, gate {status.gate}" if status.gate else at


def _said(request: Request, status: Truth, reason: str, message: str) -> Condition:
    what = f"{request.verb} of {request.version}" if request.version else request.verb
    return Condition(type=FOLLOWED, status=status, reason=reason, message=f"{what} ({request.id}) {message}")


def _followed(snapshot: Snapshot, status: ModelDeploymentStatus, request: Request) -> ModelDeploymentStatus:
    if request.of and request.of != snapshot.uid:
        raise _Refused("is refused: it was asked of a ModelDeployment of this name that is gone")
    if request.verb == "abort":
        return _aborted(snapshot, status, request.version)
    if request.verb == "retry":
        return _retried(snapshot, status, request.version)
    if snapshot.override is not None:
        order = snapshot.override
        raise _Refused(f"is refused: order {order.name} ({order.spec.order}) is in force; delete it first")
    return _promoted(snapshot, begun(snapshot, status), request)


def _aborted(snapshot: Snapshot, status: ModelDeploymentStatus, version: str | None) -> ModelDeploymentStatus:
    """The version is rejected wherever it is on its way: the spec may name it before the keeper has begun."""
    named, candidate, stable = snapshot.spec.version_ref.name, status.candidate, status.stable
    meant = version or (candidate if named == stable else named)
    if stable is None:
        raise _Refused("is refused: no version has served yet, so there is none to go back to")
    if meant == stable:
        raise _Refused(f"is refused: {stable} serves already; a rollback takes it back")
    if meant is None or meant not in (named, candidate, status.rejected):
        raise _Refused(f"is refused: {meant or 'no version'} is not on its way{_instead(candidate)}")
    # Named is what it was aborted under, though nothing may be called so yet.
    return status.model_copy(update={"rejected": meant, "named": named})


def _retried(snapshot: Snapshot, status: ModelDeploymentStatus, version: str | None) -> ModelDeploymentStatus:
    rejected, named = status.rejected, snapshot.spec.version_ref.name
    if rejected is None or version not in (None, rejected):
        raise _Refused(f"is refused: {version or 'no version'} was not taken back")
    if named != rejected:
        raise _Refused(f"is refused: versionRef names {named}, and {rejected} was taken back; name it there")
    return status.model_copy(update={"rejected": None})


def _promoted(snapshot: Snapshot, status: ModelDeploymentStatus, request: Request) -> ModelDeploymentStatus:
    candidate = status.candidate
    if candidate is None or candidate != snapshot.spec.version_ref.name or candidate == status.rejected:
        raise _Refused(f"is refused: no version is on its way; {status.stable or 'none'} serves")
    if request.version not in (None, candidate):
        raise _Refused(f"is refused: {request.version} is not on its way{_instead(candidate)}")
    if request.stage not in (None, stage(status)):
        raise _Refused(f"is refused: {candidate} was at {request.stage}, and is at {stage(status)} now")
    if request.verb == "promote-full":
        past = {"step": len(snapshot.spec.strategy.canary.steps), "shadowing": False, "comparing": False}
        return status.model_copy(update={**past, "since": snapshot.now, "held": request.force})
    if status.gate is not None:
        # A gate is waited for whatever one asks, unless one insists.
        if not request.force:
            raise _Refused(f"is refused: {candidate} has not passed gate {status.gate}; force lets it past")
        return status.model_copy(update={"waived": (*status.waived, status.gate)})
    return status.model_copy(update=_past(snapshot, status, request))


def _past(snapshot: Snapshot, status: ModelDeploymentStatus, request: Request) -> dict[str, object]:
    if status.shadowing or status.comparing:
        return {"shadowing" if status.shadowing else "comparing": False, "since": snapshot.now}
    # A share that is being given is waited for all the same.
    steps = snapshot.spec.strategy.canary.steps
    waits = status.step < len(steps) and steps[status.step].set_weight is None
    return {"step": status.step + waits, "since": snapshot.now, "held": request.force}


def _instead(candidate: str | None) -> str:
    return f": {candidate} is" if candidate else ""
