"""From a sighting and the policy's steps to a finding."""

from collections.abc import Sequence
from dataclasses import dataclass

from ostiary.v1.config_pb2 import ActionStep, LabelRule, PolicyRule
from ostiary.v1.decision_pb2 import Action, Finding
from ostiary.v1.observation_pb2 import Attribute, CalibrationPoint
from ostiary_gateway.policy.sighting import Sighting

# A model's answer on a label that the policy does not name is worth noting from here on.
_NOTED_FROM = 0.5


@dataclass(frozen=True)
class Circumstances:
    """What steps depend on beside the sighting.

    Attributes:
        table: calibration of the bundle that looked.
        categories: of the policy's vocabulary, which the listing claims.
        attributes: what was seen of the product.
    """

    table: Sequence[CalibrationPoint] = ()
    categories: frozenset[str] = frozenset()
    attributes: Sequence[Attribute] = ()


def finding(sighting: Sighting, rule: PolicyRule, circumstances: Circumstances) -> Finding | None:
    """What the policy makes of a sighting.

    The gravest step that is taken and whose threshold is reached holds. Where none is, a rule's match is
    noted; so is a model's answer of at least 0.5 on a label that the policy does not name; any other answer
    is no finding: None.
    """
    label = next((label for label in rule.labels if label.label == sighting.label), None)
    reached = [
        (step.action, threshold, _by(step))
        for step in (label.steps if label else ())
        if (threshold := threshold_of(step, sighting, circumstances)) is not None
        and sighting.score >= threshold
    ]
    if reached:
        action, threshold, by = max(reached, key=lambda taken: (taken[0], -taken[1]))
        meaning = f"{Action.Name(action)[7:]} from {threshold:g} on{by}"
        return _finding(sighting, action, threshold, meaning, label)
    if not sighting.question:
        return _finding(sighting, Action.ACTION_NOTE, 0.0, "noted: no step of the policy is reached", label)
    if label is None and sighting.score >= _NOTED_FROM:
        return _finding(
            sighting, Action.ACTION_NOTE, _NOTED_FROM, "noted: the policy does not name the label"
        )
    return None


def threshold_of(step: ActionStep, sighting: Sighting, circumstances: Circumstances) -> float | None:
    """The score from which `step` is taken for `sighting`; None where it never is.

    A target precision is looked up in the bundle's table: the lowest threshold that reaches it on the
    sighting's question. Without such a row the step cannot be taken.
    """
    if step.sources and sighting.source not in step.sources:
        return None
    if not _is_meant(step, circumstances):
        return None
    if step.WhichOneof("when") == "threshold":
        return step.threshold
    asked = (sighting.policy, sighting.label, sighting.question)
    rows = [
        row.threshold
        for row in circumstances.table
        if (row.policy, row.label, row.question) == asked and row.precision >= step.target_precision
    ]
    return min(rows, default=None)


def _is_meant(step: ActionStep, circumstances: Circumstances) -> bool:
    """Whether the step is for such a listing and for a product that looks like this."""
    claimed = circumstances.categories
    if step.categories and claimed.isdisjoint(step.categories):
        return False
    return claimed.isdisjoint(step.except_categories) and not any(
        attribute.name == excepted.name
        and attribute.value == excepted.value
        and attribute.confidence >= excepted.confidence
        for excepted in step.except_seen
        for attribute in circumstances.attributes
    )


def _by(step: ActionStep) -> str:
    precise = step.WhichOneof("when") == "target_precision"
    told = [f"where the bundle reaches precision {step.target_precision:g}"] if precise else []
    told += [f"for {', '.join(step.categories)}"] if step.categories else []
    told += [f"except for {', '.join(step.except_categories)}"] if step.except_categories else []
    return "".join(f", {words}" for words in told)


def _finding(
    sighting: Sighting,
    action: Action.ValueType,
    threshold: float,
    meaning: str,
    label: LabelRule | None = None,
) -> Finding:
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
        seller_reason=(label.seller_reason if label else "") or sighting.seller,
    )
