"""One check in a pod: decode its images, look with detectors and model side by side, say what was seen."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import structlog

from ostiary.v1.inference_pb2 import InferResponse
from ostiary.v1.listing_pb2 import Wants
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_moderation.declaration import Declaration
from ostiary_moderation.decode.pool import DecodePool, NoDecoderError
from ostiary_moderation.decode.result import Canonical, Fault, Frame
from ostiary_moderation.detector import DecodedImage
from ostiary_moderation.detectors.runner import DetectorReport, DetectorRunner
from ostiary_moderation.engine import (
    Engine,
    ListingText,
    Look,
    LookExpiredError,
    LookFailedError,
    LookRequest,
    OutOfMemoryError,
)
from ostiary_moderation.gallery import Galleries, Gallery
from ostiary_moderation.observing import canonical_bytes, observations
from ostiary_moderation.turns import Turn, Turns
from ostiary_moderation.views import ImageViews

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stages: Mapping[str, float]) -> None:
        for stage, seconds in stages.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a check asks, without its images."""

    listing: ListingText
    wants: Wants
    explicit: bool
    """The caller has said what it wants, and is not given everything for lack of a word."""

    @classmethod
    def of(cls, check: CheckRequest) -> "_Asked":
        words = check.listing
        listing = ListingText(words.title, words.description, words.category, words.language or "en")
        wants = Wants(flags=True, description=True, attributes=True)
        explicit = check.HasField("wants")
        if explicit:
            wants.CopyFrom(check.wants)
        return cls(listing, wants, explicit)


class Inspector:
    """Looks at checks. Faulty images are reported and never keep the others from being looked at."""

    def __init__(
        self,
        decoders: DecodePool,
        runners: Sequence[DetectorRunner],
        engine: Engine,
        declaration: Declaration,
        galleries: Galleries | None = None,
    ) -> None:
        """`decoders` make the views that `engine` takes; `galleries`: None where no detector takes any."""
        self._decoders = decoders
        self._runners = runners
        self._engine = engine
        self._declaration = declaration
        self._galleries = galleries or Galleries()

    async def inspect(
        self,
        check: CheckRequest,
        turn: Turn | None = None,
        deadline: float | None = None,
        *,
        detectors_only: bool = False,
    ) -> InferResponse:
        """Return what is seen of a check with at least one image.

        `turn`: counts the memory that the images take, and lets them wait for it; they are let go of as soon
        as nothing needs them, so keep no reference to `check`. `deadline`: `time.monotonic()` seconds.
        `detectors_only`: the model is not asked, so that its questions have no answers.

        Raises:
            OstiaryError: UNAVAILABLE: decoder or model failed through no fault of the images.
                DEADLINE_EXPIRED: the model had no answer in time.
        """
        turn, watch, asked = turn or Turn(Turns()), _Stopwatch(), _Asked.of(check)
        gallery = self._galleries.in_force
        files = [image.data for image in check.images]
        del check
        outcomes = await self._decode(files, asked, turn, watch)
        look: Look | None = None
        reports: list[DetectorReport] = []
        readable = any(isinstance(outcome, Canonical) for outcome in outcomes)
        if readable and detectors_only:
            reports = await self._detect_alone(outcomes, gallery, turn, watch)
        elif readable:
            look, reports = await self._look(asked, outcomes, gallery, turn, deadline, watch)
        observed = observations(outcomes, look, reports)
        self._declaration.declare(observed, flags=asked.wants.flags)
        gallery.declare(observed)
        if not readable:
            observed.detectors.extend(runner.info(completed=True) for runner in self._runners)
            observed.detectors.extend(comparison.info() for comparison in gallery.comparisons)
        response = InferResponse(observations=observed, canonical=canonical_bytes(outcomes))
        for stage, seconds in watch.seconds.items():
            response.timings.add(stage=stage).duration.FromNanoseconds(round(seconds * 1e9))
        return response

    async def _decode(
        self, files: list[bytes], asked: _Asked, turn: Turn, watch: _Stopwatch
    ) -> list[Canonical | Fault]:
        """Decode the files, which are forgotten."""
        started, encoded = time.monotonic(), sum(map(len, files))
        pixels = asked.wants.flags and bool(self._runners or self._galleries.runners)
        # Nothing may come between these two: the order of turns is that of images at the decoders.
        turn.begin(encoded)
        decoding = [self._decoders.decode(data, pixels=pixels, room=turn.take) for data in files]
        files.clear()
        try:
            return await asyncio.gather(*decoding)
        except NoDecoderError as error:
            raise OstiaryError(Reason.UNAVAILABLE, "This pod has no image decoder: try another") from error
        finally:
            turn.give_back(encoded)
            watch.add({"decode": time.monotonic() - started})

    async def _look(
        self,
        asked: _Asked,
        outcomes: list[Canonical | Fault],
        gallery: Gallery,
        turn: Turn,
        deadline: float | None,
        watch: _Stopwatch,
    ) -> tuple[Look, list[DetectorReport]]:
        """Look with the model and, where flags are wanted, with every detector, at the same time."""
        asking = asyncio.ensure_future(self._ask(asked, _views(outcomes), deadline))
        detecting = asyncio.ensure_future(self._detect(_pixels(outcomes), gallery, turn))
        # From here on full pixels are the detectors' alone.
        outcomes[:] = [_without_pixels(outcome) for outcome in outcomes]
        try:
            look = await asking
            reports = await detecting
        finally:
            asking.cancel()
            detecting.cancel()
        watch.add({report.info.name: report.seconds for report in reports})
        watch.add(look.timings)
        return look, reports

    async def _detect_alone(
        self, outcomes: list[Canonical | Fault], gallery: Gallery, turn: Turn, watch: _Stopwatch
    ) -> list[DetectorReport]:
        """Look with every detector, where flags are wanted, and not with the model."""
        images = _pixels(outcomes)
        outcomes[:] = [_without_pixels(outcome) for outcome in outcomes]
        reports = await self._detect(images, gallery, turn)
        watch.add({report.info.name: report.seconds for report in reports})
        return reports

    async def _detect(
        self, images: Sequence[DecodedImage], gallery: Gallery, turn: Turn
    ) -> list[DetectorReport]:
        """Run every detector on the images, then compare with the gallery, then give the memory of the images
        back; nothing without images.
        """
        if not images:
            return []
        seen = await asyncio.gather(*(runner.run(images) for runner in self._runners))
        compared = await asyncio.gather(*(each.run(images, seen) for each in gallery.comparisons))
        turn.give_back(sum(image.pixels.nbytes for image in images))
        return [*seen, *compared]

    async def _ask(self, asked: _Asked, images: Sequence[ImageViews], deadline: float | None) -> Look:
        request = LookRequest(
            images=images,
            listing=asked.listing,
            flags=asked.wants.flags,
            description=asked.wants.description,
            attributes=asked.wants.attributes,
            deadline=deadline,
            describe_rejected=asked.explicit and asked.wants.description,
        )
        try:
            return await self._engine.look(request)
        except LookExpiredError as error:
            late = "The deadline passed before the model had an answer: allow more time"
            raise OstiaryError(Reason.DEADLINE_EXPIRED, late) from error
        except Exception as error:  # whatever a model raises, the check is held and not lost
            sizes = [views.first.shape for views in images]
            _log.error("model failed", views=sizes, exc_info=error)
            raise OstiaryError(Reason.UNAVAILABLE, _what_failed(error)) from error


def _what_failed(error: Exception) -> str:
    if isinstance(error, OutOfMemoryError):
        return "An image of the check does not fit into this pod's memory beside its model: try another pod"
    if isinstance(error, LookFailedError):
        return "This pod's model gave no answer: its log says why; try another pod"
    return "This pod's model failed: its log says why"


def _views(outcomes: Sequence[Canonical | Fault]) -> list[ImageViews]:
    """Every frame to judge, as the model is shown it, in the order of the images."""
    return [
        _image_views(outcome, frame)
        for outcome in outcomes
        if isinstance(outcome, Canonical)
        for frame in outcome.frames
    ]


def _image_views(image: Canonical, frame: Frame) -> ImageViews:
    sizes = zip(frame.views, image.view_sizes, strict=True)
    return ImageViews(*(np.frombuffer(data, np.uint8).reshape(*size, 3) for data, size in sizes))


def _pixels(outcomes: Sequence[Canonical | Fault]) -> list[DecodedImage]:
    """Every frame to judge, as the detectors are shown it, where pixels were asked for."""
    return [
        DecodedImage(
            index=index,
            frame=frame.index,
            pixels=np.frombuffer(frame.rgb, np.uint8).reshape(outcome.height, outcome.width, 3),
        )
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Canonical)
        for frame in outcome.frames
        if frame.rgb
    ]


def _without_pixels(outcome: Canonical | Fault) -> Canonical | Fault:
    if isinstance(outcome, Fault):
        return outcome
    return replace(outcome, frames=tuple(replace(frame, rgb=b"", views=()) for frame in outcome.frames))
