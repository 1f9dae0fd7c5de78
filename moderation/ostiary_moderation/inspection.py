"""One check in a pod: decode its images, look with detectors and model side by side, say what was seen."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog

from ostiary.v1.image_pb2 import CanonicalImage, ImageFault
from ostiary.v1.inference_pb2 import CanonicalBytes, InferResponse
from ostiary.v1.listing_pb2 import Wants
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.observation_pb2 import Attribute, Description, Observations, PolicyScore
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_moderation.declaration import Declaration
from ostiary_moderation.decode.pool import DecodePool, NoDecoderError
from ostiary_moderation.decode.result import Canonical, Fault
from ostiary_moderation.detector import DecodedImage, Detections
from ostiary_moderation.detectors.runner import DetectorReport, DetectorRunner
from ostiary_moderation.engine import Engine, ListingText, Look, LookRequest, QuestionScore
from ostiary_moderation.views import make_views

_log = structlog.get_logger(__name__)
_SOURCE = "vlm"


@dataclass(slots=True)
class _Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stages: Mapping[str, float]) -> None:
        for stage, seconds in stages.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


class Inspector:
    """Looks at checks. Faulty images are reported and never keep the others from being looked at."""

    def __init__(
        self,
        decoders: DecodePool,
        runners: Sequence[DetectorRunner],
        engine: Engine,
        declaration: Declaration,
    ) -> None:
        self._decoders = decoders
        self._runners = runners
        self._engine = engine
        self._declaration = declaration

    async def inspect(self, check: CheckRequest) -> InferResponse:
        """Return what is seen of a check with at least one image.

        Raises OstiaryError(UNAVAILABLE) where decoder or model failed through no fault of the images.
        """
        watch = _Stopwatch()
        outcomes = await self._decode(check, watch)
        frames = _frames(outcomes)
        look, reports = await self._look(check, frames, watch) if frames else (None, [])
        observations = _observations(outcomes, frames, look, reports)
        self._declaration.declare(observations, flags=_wants(check).flags)
        if not frames:
            observations.detectors.extend(runner.info(completed=True) for runner in self._runners)
        response = InferResponse(observations=observations, canonical=_canonical_bytes(outcomes))
        for stage, seconds in watch.seconds.items():
            response.timings.add(stage=stage).duration.FromNanoseconds(round(seconds * 1e9))
        return response

    async def _decode(self, check: CheckRequest, watch: _Stopwatch) -> list[Canonical | Fault]:
        started = time.monotonic()
        try:
            return await asyncio.gather(*(self._decoders.decode(image.data) for image in check.images))
        except NoDecoderError as error:
            raise OstiaryError(Reason.UNAVAILABLE, "This pod has no image decoder: try another") from error
        finally:
            watch.add({"decode": time.monotonic() - started})

    async def _look(
        self, check: CheckRequest, frames: Sequence[DecodedImage], watch: _Stopwatch
    ) -> tuple[Look, list[DetectorReport]]:
        """Look with the model and, where flags are wanted, with every detector, at the same time."""
        runners = self._runners if _wants(check).flags else ()
        asking = asyncio.ensure_future(self._ask(check, frames))
        detecting = [asyncio.ensure_future(runner.run(frames)) for runner in runners]
        try:
            look = await asking
            reports = await asyncio.gather(*detecting)
        finally:
            for task in (asking, *detecting):
                task.cancel()
        watch.add({report.info.name: report.seconds for report in reports})
        watch.add(look.timings)
        return look, list(reports)

    async def _ask(self, check: CheckRequest, frames: Sequence[DecodedImage]) -> Look:
        wants, listing = _wants(check), check.listing
        spec = self._engine.view_spec
        request = LookRequest(
            images=[await asyncio.to_thread(make_views, frame.pixels, spec) for frame in frames],
            listing=ListingText(
                listing.title, listing.description, listing.category, listing.language or "en"
            ),
            flags=wants.flags,
            description=wants.description,
            attributes=wants.attributes,
        )
        try:
            return await self._engine.look(request)
        except Exception as error:  # whatever a model raises, the check is held and not lost
            _log.exception("model failed", images=[frame.pixels.shape for frame in frames])
            raise OstiaryError(Reason.UNAVAILABLE, "This pod's model failed: its log says why") from error


def _wants(check: CheckRequest) -> Wants:
    return check.wants if check.HasField("wants") else Wants(flags=True, description=True, attributes=True)


def _frames(outcomes: Sequence[Canonical | Fault]) -> list[DecodedImage]:
    """Every frame to judge, as pixels, in the order of the images."""
    return [
        DecodedImage(
            index=index,
            frame=frame.index,
            pixels=np.frombuffer(frame.rgb, np.uint8).reshape(outcome.height, outcome.width, 3),
        )
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Canonical)
        for frame in outcome.frames
    ]


def _canonical_bytes(outcomes: Sequence[Canonical | Fault]) -> list[CanonicalBytes]:
    return [
        CanonicalBytes(image_index=index, data=outcome.file)
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Canonical)
    ]


def _observations(
    outcomes: Sequence[Canonical | Fault],
    frames: Sequence[DecodedImage],
    look: Look | None,
    reports: Sequence[DetectorReport],
) -> Observations:
    seen = sum((report.detections for report in reports), Detections())
    observations = Observations(
        ocr=seen.ocr,
        barcodes=seen.barcodes,
        brands=seen.brands,
        scores=seen.scores,
        pdq=seen.pdq,
        detectors=[report.info for report in reports],
    )
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, Canonical):
            observations.images.append(_canonical_image(index, outcome))
        else:
            fault = ImageFault(image_index=index, code=outcome.code.value, detail=outcome.detail)
            observations.faults.append(fault)
    if look is not None:
        observations.scores.extend(_scores(look.scores, frames))
        observations.attributes.extend(
            Attribute(name=value.name, value=value.value, confidence=value.confidence)
            for value in look.attributes
        )
        if look.description is not None:
            observations.description.CopyFrom(Description(text=look.description, language=look.language))
    return observations


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


def _scores(scores: Sequence[QuestionScore], frames: Sequence[DecodedImage]) -> list[PolicyScore]:
    """One score per question and image: that of the frame which speaks most for yes."""
    highest: dict[tuple[str, str, str, int], QuestionScore] = {}
    for score in scores:
        key = (score.policy, score.label, score.question, frames[score.image_index].index)
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
