"""Whether every policy was really judged on every image."""

import math
from collections.abc import Iterable

from ostiary.v1.config_pb2 import PolicyRule
from ostiary.v1.decision_pb2 import HoldReason
from ostiary.v1.observation_pb2 import Observations, PolicyState
from ostiary_gateway.brands.in_force import POLICY as BRANDS
from ostiary_gateway.hashes.index import HASH_BYTES
from ostiary_gateway.policy import brand_marks, contradiction
from ostiary_gateway.policy.in_force import PolicyInForce

FAULT_CODES = frozenset({"empty", "unreadable", "unsupported_format", "too_large"})
WHOLE_CHECK = -1


def unsound(observations: Observations, image_count: int) -> str | None:
    """Why observations cannot be believed, in words; None where they can.

    Numbers outside their range and images that the request does not have are the mark of a broken pod: what
    else it says is then worth nothing.
    """
    indices = [image.image_index for image in observations.images]
    faults = [fault.image_index for fault in observations.faults]
    places = [span.region.image_index for span in observations.ocr]
    places += [code.region.image_index for code in observations.barcodes]
    places += [score.region.image_index for score in observations.scores if score.HasField("region")]
    places += [candidate.region.image_index for candidate in observations.brands]
    asked = [score.image_index for score in observations.scores]
    hashed = [known.image_index for known in observations.pdq]
    if any(not 0 <= index < image_count for index in (*indices, *faults, *places, *asked, *hashed)):
        return "it names an image that the check does not have"
    if len(set(indices)) < len(indices) or set(indices) & set(faults):
        return "it names an image twice"
    table = [number for row in observations.calibration for number in (row.precision, row.threshold)]
    confidences = [attribute.confidence for attribute in observations.attributes]
    scores = [score.probability for score in observations.scores]
    scores += [candidate.score for candidate in observations.brands]
    if not _all_probabilities(scores + table + confidences):
        return "it holds a probability outside 0 to 1"
    if any(len(known.hash) != HASH_BYTES or not 0 <= known.quality <= 100 for known in observations.pdq):
        return "it holds a perceptual hash that is none"
    if any(
        len(image.sha256) != HASH_BYTES or len(image.raw_sha256) != HASH_BYTES
        for image in observations.images
    ):
        return "it holds a SHA-256 that is none"
    return None


def state(
    rule: PolicyRule, policy: PolicyInForce, observations: Observations, image_count: int
) -> PolicyState.ValueType:
    """How one policy fared on sound observations."""
    if not observations.HasField("bundle"):
        # Nothing looked: the faults were seen before the check was sent anywhere.
        return _unreadable_or(PolicyState.POLICY_STATE_UNAVAILABLE, observations)
    if unsupported(rule.policy, policy, observations):
        return PolicyState.POLICY_STATE_UNSUPPORTED
    if failures(rule.policy, policy, observations) or unseen(observations, image_count):
        return _unreadable_or(PolicyState.POLICY_STATE_UNAVAILABLE, observations)
    return _unreadable_or(PolicyState.POLICY_STATE_JUDGED, observations)


def unsupported(name: str, policy: PolicyInForce, observations: Observations) -> str:
    """Why the pod cannot judge the policy `name`, and the remedy, in words; empty where it can."""
    if name == BRANDS:
        if why := brand_marks.unsupported(policy.brands, observations):
            return why
        if brand_marks.unmatched_gallery(policy.brands, observations):
            return ""  # it can, once it has its marks: until then that is a failure
    # Claims are compared here, so that no bundle lists the policy.
    if name == contradiction.POLICY:
        why = "No attributes were seen that the listing could be compared with: ask for attributes"
        return "" if contradiction.judged(observations) else why
    if name in observations.capabilities and not _missing_detectors(name, policy, observations):
        return ""
    bundle = f"{observations.bundle.name} {observations.bundle.version}".strip()
    return f"The bundle {bundle} cannot judge {name}: use one that can"


def failures(name: str, policy: PolicyInForce, observations: Observations) -> list[str]:
    """What should have judged the policy `name` and did not, in words."""
    answered = {
        (score.policy, score.label, score.question, score.image_index) for score in observations.scores
    }
    questions = {
        (row.policy, row.label, row.question) for row in observations.calibration if row.policy == name
    }
    unanswered = [
        f"question {question[2]} was not answered on image {image.image_index}"
        for question in sorted(questions)
        for image in observations.images
        if (*question, image.image_index) not in answered
    ]
    return [*_detectors_failed(name, policy, observations), *unanswered]


def without_model(name: str, policy: PolicyInForce, observations: Observations, image_count: int) -> bool:
    """Whether everything but the vision model has looked for the policy `name`, on every image."""
    if not observations.HasField("bundle") or observations.faults or unseen(observations, image_count):
        return False
    if name == BRANDS and brand_marks.unsupported(policy.brands, observations):
        return False
    missing = _missing_detectors(name, policy, observations)
    return not missing and not _detectors_failed(name, policy, observations)


def unseen(observations: Observations, image_count: int) -> list[int]:
    """Images that were neither read nor found faulty."""
    seen = {image.image_index for image in observations.images}
    seen |= {fault.image_index for fault in observations.faults}
    return [index for index in range(image_count) if index not in seen]


def image_holds(observations: Observations, image_count: int) -> list[HoldReason]:
    """One reason per image that could not be judged, in the order of the images."""
    faults = [
        HoldReason(
            code=fault.code if fault.code in FAULT_CODES else "unreadable",
            image_index=fault.image_index,
            detail=fault.detail,
        )
        for fault in observations.faults
    ]
    missing = [
        HoldReason(code="unavailable", image_index=index, detail="The image was not looked at: check again.")
        for index in unseen(observations, image_count)
    ]
    return sorted(faults + missing, key=lambda reason: reason.image_index)


def _detectors_failed(name: str, policy: PolicyInForce, observations: Observations) -> list[str]:
    """Which detectors of the policy `name` did not look as they should have, in words."""
    failed = [
        f"detector {detector.name} did not complete: {detector.error or 'no reason given'}"
        for detector in observations.detectors
        if name in detector.policies and not detector.completed
    ]
    gallery = brand_marks.unmatched_gallery(policy.brands, observations) if name == BRANDS else ""
    return [*failed, gallery] if gallery else failed


def _missing_detectors(name: str, policy: PolicyInForce, observations: Observations) -> frozenset[str]:
    there = {detector.name for detector in observations.detectors}
    return frozenset(need for pack in policy.packs if name in pack.policies for need in pack.needs - there)


def _unreadable_or(otherwise: PolicyState.ValueType, observations: Observations) -> PolicyState.ValueType:
    return PolicyState.POLICY_STATE_UNREADABLE if observations.faults else otherwise


def _all_probabilities(numbers: Iterable[float]) -> bool:
    return all(math.isfinite(number) and 0 <= number <= 1 for number in numbers)
