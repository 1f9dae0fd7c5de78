"""Conditions as Kubernetes has them (metav1.Condition)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from ostiary_operator.resources.part import Part, Time

Truth = Literal["True", "False", "Unknown"]


class Condition(Part):
    """One aspect of a resource's state. `last_transition_time`: when `status` changed."""

    type: str = Field(min_length=1)
    status: Truth
    reason: str = Field(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    message: str = ""
    observed_generation: int = 0
    last_transition_time: Time = 0.0


def truth(holds: bool) -> Truth:
    """The condition's status for something that is known."""
    return "True" if holds else "False"


def updated(before: Sequence[Condition], now: Iterable[Condition], at: float) -> tuple[Condition, ...]:
    """The conditions with `now` in place of those of the same type; the time of a transition is kept where
    the status is the same as before.
    """
    kept = {condition.type: condition for condition in before}
    for condition in now:
        old = kept.get(condition.type)
        same = old is not None and old.status == condition.status
        since = old.last_transition_time if old is not None and same else at
        kept[condition.type] = condition.model_copy(update={"last_transition_time": since})
    return tuple(kept[name] for name in sorted(kept))
