"""What was decided, and everything that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ostiary_operator.autoscaling.memory import Memory


@dataclass(frozen=True, slots=True)
class Reading:
    """What one metric proposes.

    Attributes:
        name: of the metric.
        value: its figure, in the unit of `target`; None: there is none to be trusted.
        target: what it is held against.
        proposal: pods that it asks for; None where it has no say.
        trouble: why it is not to be trusted, or not wholly; empty: it is.
        abstains: it has nothing to say, and that is as it should be.
        more: what the proposal counts beyond the figure; empty: nothing.
    """

    name: str
    value: float | None
    target: float
    proposal: int | None
    trouble: str = ""
    abstains: bool = False
    more: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One clamp: what went in, what came out, and why."""

    name: str
    before: int
    after: int
    why: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A `metav1.Condition` without its times, which are the edge's."""

    type: str
    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision.

    Attributes:
        current: replicas before.
        raw: the largest proposal, before any clamp.
        wanted: what comes out of the clamps.
        desired: what is to be asked for: `wanted`, or `current` unless the mode is `Enforce`.
        readings: the metrics, in the spec's order.
        steps: what changed the number, or would have, from raw to desired.
        conditions: AbleToScale, ScalingActive, ScalingLimited, MetricsHealthy.
        victims: pods to drain and remove, least work first.
        memory: for the next decision.
    """

    current: int
    raw: int
    wanted: int
    desired: int
    readings: tuple[Reading, ...]
    steps: tuple[Step, ...]
    conditions: tuple[Condition, ...]
    victims: tuple[str, ...]
    memory: Memory

    def condition(self, name: str) -> Condition:
        """The condition of that type. Raises KeyError."""
        for found in self.conditions:
            if found.type == name:
                return found
        raise KeyError(name)

    def document(self) -> dict[str, Any]:
        """As `status.decisions` and the decision log hold it."""
        return {
            "current": self.current,
            "raw": self.raw,
            "wanted": self.wanted,
            "desired": self.desired,
            "metrics": [
                {
                    "name": reading.name,
                    "value": reading.value,
                    "target": reading.target,
                    "proposal": reading.proposal,
                    "trouble": reading.trouble,
                    "more": reading.more,
                }
                for reading in self.readings
            ],
            "steps": [
                {"name": step.name, "before": step.before, "after": step.after, "why": step.why}
                for step in self.steps
            ],
            "conditions": [
                {
                    "type": condition.type,
                    "status": "True" if condition.status else "False",
                    "reason": condition.reason,
                    "message": condition.message,
                }
                for condition in self.conditions
            ],
            "victims": list(self.victims),
        }
