"""Runs a detector off the event loop, one image at a time, so that it can be given up between two."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import structlog

from ostiary.v1.observation_pb2 import DetectorInfo
from ostiary_moderation.detector import (
    DecodedImage,
    Detections,
    Detector,
    GalleryDetector,
    IncompleteError,
    PreparedGallery,
)

D = TypeVar("D", Detector, GalleryDetector)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """What a detector saw, whether it got through, and how many seconds it took, queueing included."""

    detections: Detections
    info: DetectorInfo
    seconds: float


class _Runner(Generic[D]):
    """One detector with a thread of its own: they run side by side, and none is entered twice at once."""

    def __init__(self, detector: D) -> None:
        self.detector: D = detector
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"detector-{detector.name}")

    def info(self, completed: bool, error: str = "") -> DetectorInfo:
        """Return the detector's particulars with the outcome of a run."""
        return DetectorInfo(
            name=self.detector.name,
            version=self.detector.version,
            completed=completed,
            error=error,
            policies=self.detector.policies,
        )

    def close(self) -> None:
        """Wait for the image in hand and end the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(
        self, images: Sequence[DecodedImage], detect: Callable[[DecodedImage], Detections]
    ) -> DetectorReport:
        """Look at the images. A failure is reported, never raised, and what was seen before it is kept."""
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        seen, error = Detections(), ""
        for image in images:
            try:
                seen += await loop.run_in_executor(self._thread, detect, image)
            except IncompleteError as incomplete:
                error = f"image {image.index}: {incomplete}"
            except Exception as failure:  # plug-ins raise what they like
                _log.exception("detector failed", detector=self.detector.name, image=image.index)
                error = f"image {image.index}: {type(failure).__name__}"
        return DetectorReport(seen, self.info(not error, error), time.monotonic() - started)


class DetectorRunner(_Runner[Detector]):
    """Runs a detector."""

    async def run(self, images: Sequence[DecodedImage]) -> DetectorReport:
        """Look at the images. A failure is reported, never raised, and what was seen before it is kept."""
        return await self._run(images, lambda image: self.detector.detect([image]))


class GalleryRunner(_Runner[GalleryDetector]):
    """Runs a detector that compares with a gallery, once those that it follows have run."""

    async def run(
        self, images: Sequence[DecodedImage], gallery: PreparedGallery, reports: Sequence[DetectorReport]
    ) -> DetectorReport:
        """Compare the images with the gallery; `reports`: of the detectors that ran before.

        What one of them failed to see cannot be compared: then this one did not complete either, and what it
        found in the rest is kept. Where there is nothing to compare with, nothing can fail.
        """
        if not gallery.marks:
            return DetectorReport(Detections(), self.info(completed=True), 0.0)
        followed = [report for report in reports if report.info.name in self.detector.follows]
        seen = sum((report.detections for report in followed), Detections())
        report = await self._run(images, lambda image: gallery.detect([image], seen.in_frame(image)))
        lacking = [
            f"{followed.info.name} did not complete" for followed in followed if not followed.info.completed
        ]
        if not lacking:
            return report
        error = "; ".join(filter(None, [*lacking, report.info.error]))
        return replace(report, info=self.info(completed=False, error=error))
