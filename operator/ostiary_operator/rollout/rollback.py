"""Could one roll back right now, where to, and how long would it take."""

from __future__ import annotations

from collections.abc import Sequence

from ostiary_operator.resources.conditions import Condition
from ostiary_operator.resources.model_deployment import Entry, ModelDeploymentStatus, RollbackReady
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.rollout.snapshot import Snapshot

SHIFT_SECONDS = 2.0
"""What it takes to write the route and have every gateway apply it."""


def earlier(history: Sequence[Entry], than: str | None, rejected: str | None) -> tuple[str, ...]:
    """Versions that had all the traffic before `than`, the newest first, each once."""
    names = [entry.version for entry in reversed(history)]
    return tuple(dict.fromkeys(name for name in names if name not in (than, rejected)))


def way_back(snapshot: Snapshot, status: ModelDeploymentStatus) -> str | None:
    """Where a rollback goes: from a candidate to the stable version, from that to the one before it."""
    if status.candidate is not None and status.stable is not None:
        return status.stable
    for name in earlier(status.history, status.stable, status.rejected):
        if name in snapshot.versions:
            return name
    return None


def seconds_until_carrying(snapshot: Snapshot, version: str) -> float | None:
    """Until the version could have all the traffic; None where nobody ever measured how long it loads."""
    if snapshot.carries(version) >= WHOLE:
        return SHIFT_SECONDS
    loading = snapshot.versions[version].load_seconds
    return None if loading is None else loading + SHIFT_SECONDS


def readiness(snapshot: Snapshot, status: ModelDeploymentStatus) -> tuple[RollbackReady | None, Condition]:
    """For status.rollbackReady, and the condition."""
    version = way_back(snapshot, status)
    if version is None:
        return None, _said("False", "NoEarlierVersion", "there is no earlier version to go back to")
    seconds = seconds_until_carrying(snapshot, version)
    if seconds is None:
        message = f"{version} is not running, and how long it takes to load was never measured"
        return None, _said("False", "NeverMeasured", message)
    ready = RollbackReady(version=version, eta_seconds=seconds)
    if seconds <= SHIFT_SECONDS:
        return ready, _said("True", "Warm", f"{version} carries all traffic from one moment to the next")
    share = snapshot.carries(version) / 100
    message = f"{version} carries {share:.0f}% now, and all traffic in about {seconds:.0f} s"
    return ready, _said("False", "NotWarm", message)


def lost_by_promoting(snapshot: Snapshot) -> str:
    """Why promoting would leave nothing to go back to; empty: it would not."""
    if snapshot.spec.warm.versions == 0:
        return "warm.versions is 0: the present version would be shut down"
    return ""


def _said(status: str, reason: str, message: str) -> Condition:
    return Condition.model_validate(
        {"type": "RollbackReady", "status": status, "reason": reason, "message": message}
    )
