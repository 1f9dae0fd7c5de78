"""Runs a detector off the event loop, one image at a time, so that it can be given up between two."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from ostiary.v1.observation_pb2 import DetectorInfo
from ostiary_moderation.detector import DecodedImage, Detections, Detector, IncompleteError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """What a detector saw, whether it got through, and how many seconds it took, queueing included."""

    detections: Detections
    info: DetectorInfo
    seconds: float


class DetectorRunner:
    """One detector with a thread of its own: they run side by side, and none is entered twice at once."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
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

    async def run(self, images: Sequence[DecodedImage]) -> DetectorReport:
        """Look at the images. A failure is reported, never raised, and what was seen before it is kept."""
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        seen, error = Detections(), ""
        for image in images:
            try:
                seen += await loop.run_in_executor(self._thread, self.detector.detect, [image])
            except IncompleteError as incomplete:
                error = f"image {image.index}: {incomplete}"
            except Exception as failure:  # plug-ins raise what they like
                _log.exception("detector failed", detector=self.detector.name, image=image.index)
                error = f"image {image.index}: {type(failure).__name__}"
        return DetectorReport(seen, self.info(not error, error), time.monotonic() - started)

    def close(self) -> None:
        """Wait for the image in hand and end the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)
