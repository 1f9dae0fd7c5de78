"""What was seen of a check, in the terms of the contract. Pure."""

from collections.abc import Sequence

from ostiary.v1.image_pb2 import CanonicalImage, ImageFault
from ostiary.v1.inference_pb2 import CanonicalBytes
from ostiary.v1.observation_pb2 import Attribute, Description, Observations, PolicyScore
from ostiary_moderation.decode.result import Canonical, Fault
from ostiary_moderation.detector import Detections
from ostiary_moderation.detectors.runner import DetectorReport
from ostiary_moderation.engine import Look, QuestionScore

_SOURCE = "vlm"


def observations(
    outcomes: Sequence[Canonical | Fault],
    look: Look | None,
    reports: Sequence[DetectorReport],
) -> Observations:
    """Everything seen of the images that `outcomes` are of, in their order. `look`: None where no image was
    readable."""
    seen = sum((report.detections for report in reports), Detections())
    observed = Observations(
        ocr=seen.ocr,
        barcodes=seen.barcodes,
        brands=seen.brands,
        scores=_surest(seen.scores),
        pdq=seen.pdq,
        detectors=[report.info for report in reports],
    )
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, Canonical):
            observed.images.append(_canonical_image(index, outcome))
        else:
            fault = ImageFault(image_index=index, code=outcome.code.value, detail=outcome.detail)
            observed.faults.append(fault)
    if look is not None:
        _add_look(observed, look, images_of_frames(outcomes))
    return observed


def images_of_frames(outcomes: Sequence[Canonical | Fault]) -> list[int]:
    """The index of the image that each frame belongs to, for all frames that the model is shown."""
    return [
        index
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Canonical)
        for _ in outcome.frames
    ]


def canonical_bytes(outcomes: Sequence[Canonical | Fault]) -> list[CanonicalBytes]:
    """The canonical files of the readable images, each with its blurred rendition."""
    return [
        CanonicalBytes(image_index=index, data=outcome.file, blurred=outcome.blurred)
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Canonical)
    ]


def _add_look(observed: Observations, look: Look, images: Sequence[int]) -> None:
    observed.scores.extend(_scores(look.scores, images))
    observed.attributes.extend(
        Attribute(name=value.name, value=value.value, confidence=value.confidence)
        for value in look.attributes
    )
    if look.description is not None:
        observed.description.CopyFrom(Description(text=look.description, language=look.language))


def _canonical_image(index: int, image: Canonical) -> CanonicalImage:
    return CanonicalImage(
        image_index=index,
        raw_sha256=image.raw_sha256,
        sha256=image.sha256,
        media_type=image.media_type,
        width=image.width,
        height=image.height,
        size_bytes=len(image.file),
        notes=image.notes,
    )


def _surest(scores: Sequence[PolicyScore]) -> list[PolicyScore]:
    """One score per thing asked and image: detectors look at each frame, and the highest counts."""
    highest: dict[tuple[str, str, str, str, int], PolicyScore] = {}
    for score in scores:
        key = (score.source, score.policy, score.label, score.question, score.image_index)
        if key not in highest or score.probability > highest[key].probability:
            highest[key] = score
    return list(highest.values())


def _scores(scores: Sequence[QuestionScore], images: Sequence[int]) -> list[PolicyScore]:
    """One score per question and image: that of the frame which speaks most for yes."""
    highest: dict[tuple[str, str, str, int], QuestionScore] = {}
    for score in scores:
        key = (score.policy, score.label, score.question, images[score.image_index])
        if key not in highest or score.margin > highest[key].margin:
            highest[key] = score
    return [
        PolicyScore(
            policy=policy,
            label=label,
            question=question,
            image_index=image_index,
            probability=score.probability,
            margin=score.margin,
            source=_SOURCE,
        )
        for (policy, label, question, image_index), score in highest.items()
    ]
