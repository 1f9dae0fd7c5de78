"""From a sighting and the policy's steps to a finding."""

from collections.abc import Sequence

from ostiary.v1.config_pb2 import ActionStep, PolicyRule
from ostiary.v1.decision_pb2 import Action, Finding
from ostiary.v1.observation_pb2 import CalibrationPoint
from ostiary_gateway.policy.sighting import Sighting

# A model's answer on a label that the policy does not name is worth noting from here on.
_NOTED_FROM = 0.5


def finding(sighting: Sighting, rule: PolicyRule, table: Sequence[CalibrationPoint]) -> Finding | None:
    """What the policy makes of a sighting.

    The gravest step whose threshold is reached holds. Where none is, a rule's match is noted; so is a model's
    answer of at least 0.5 on a label that the policy does not name; any other answer is no finding: None.
    """
    label = next((label for label in rule.labels if label.label == sighting.label), None)
    reached = [
        (step.action, threshold, _by(step))
        for step in (label.steps if label else ())
        if (threshold := threshold_of(step, sighting, table)) is not None and sighting.score >= threshold
    ]
    if reached:
        action, threshold, by = max(reached, key=lambda taken: (taken[0], -taken[1]))
        return _finding(sighting, action, threshold, f"{Action.Name(action)[7:]} from {threshold:g} on{by}")
    if not sighting.question:
        return _finding(sighting, Action.ACTION_NOTE, 0.0, "noted: no step of the policy is reached")
    if label is None and sighting.score >= _NOTED_FROM:
        return _finding(
            sighting, Action.ACTION_NOTE, _NOTED_FROM, "noted: the policy does not name the label"
        )
    return None


def threshold_of(step: ActionStep, sighting: Sighting, table: Sequence[CalibrationPoint]) -> float | None:
    """The score from which `step` is taken for `sighting`; None where it never is.

    A target precision is looked up in the bundle's table: the lowest threshold that reaches it on the
    sighting's question. Without such a row the step cannot be taken.
    """
    if step.sources and sighting.source not in step.sources:
        return None
    if step.WhichOneof("when") == "threshold":
        return step.threshold
    asked = (sighting.policy, sighting.label, sighting.question)
    rows = [
        row.threshold
        for row in table
        if (row.policy, row.label, row.question) == asked and row.precision >= step.target_precision
    ]
    return min(rows, default=None)


def _by(step: ActionStep) -> str:
    precise = step.WhichOneof("when") == "target_precision"
    return f", where the bundle reaches precision {step.target_precision:g}" if precise else ""


def _finding(sighting: Sighting, action: Action.ValueType, threshold: float, meaning: str) -> Finding:
    return Finding(
        policy=sighting.policy,
        label=sighting.label,
        score=sighting.score,
        threshold=threshold,
        action=action,
        regions=sighting.regions,
        source=sighting.source,
        evidence=sighting.evidence,
        internal_reason=f"{sighting.internal}; {meaning}",
        seller_reason=sighting.seller,
    )
