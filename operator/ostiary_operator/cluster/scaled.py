"""GPUAutoscaler's status: what a decision makes of it, and what a new keeper can take from it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from ostiary_operator.autoscaling.decision import Condition as Found
from ostiary_operator.autoscaling.decision import Decision
from ostiary_operator.autoscaling.memory import Dated, Memory
from ostiary_operator.cluster.kinds import Json
from ostiary_operator.resources.conditions import Condition, truth, updated
from ostiary_operator.resources.gpu_autoscaler import AutoscalerStatus

_LONGEST = 4096


def unreadable_as_none(obj: Json) -> AutoscalerStatus:
    """The status; an empty one where it is not what a keeper wrote: nothing hangs on it but history."""
    try:
        return AutoscalerStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return AutoscalerStatus()


def remembered(status: AutoscalerStatus, current: int, now: float) -> Memory:
    """The memory of a keeper that comes new: what there is now is the first recommendation, so that nothing
    goes before a whole window was seen; and what was added and taken away of late counts for the rates.
    """
    changes = [
        change for one in status.decisions if (change := _change(one)) is not None and change[0] <= now
    ]
    return Memory(
        at=now,
        recommendations=((now, current),),
        ups=tuple((at, by) for at, by in changes if by > 0),
        downs=tuple((at, -by) for at, by in changes if by < 0),
        trusted_at=now,
    )


def _change(document: Mapping[str, Any]) -> Dated | None:
    try:
        return float(document["at"]), int(document["desired"]) - int(document["current"])
    except (KeyError, TypeError, ValueError):
        return None


def same_story(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two decisions differ in figures only, and neither changed anything: the newer
    stands for both.
    """
    return _story(before) == _story(after) and after["current"] == after["desired"]


def _story(document: Mapping[str, Any]) -> tuple[object, ...]:
    try:
        return (
            document["current"],
            document["desired"],
            [step["name"] for step in document["steps"]],
            [(one["type"], one["status"], one["reason"]) for one in document["conditions"]],
        )
    except (KeyError, TypeError):
        return ()


def status_with(
    before: AutoscalerStatus, obj: Json, decision: Decision | None, found: Iterable[Found], now: float
) -> AutoscalerStatus:
    """The status after a decision, or where none could be made."""
    generation = int(obj["metadata"].get("generation", 0))
    conditions = [
        Condition(
            type=one.type,
            status=truth(one.status),
            reason=one.reason,
            message=one.message[:_LONGEST],
            observed_generation=generation,
        )
        for one in found
    ]
    changes: dict[str, object] = {
        "observed_generation": generation,
        "conditions": updated(before.conditions, conditions, now),
    }
    if decision is not None:
        changes |= {"current_replicas": decision.current, "desired_replicas": decision.desired}
        if decision.desired != decision.current:
            changes["last_scale_time"] = now
    return before.model_copy(update=changes)
