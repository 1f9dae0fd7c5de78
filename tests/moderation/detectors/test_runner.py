"""Detectors run off the event loop, and their failures stay their own."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from ostiary.v1.observation_pb2 import OcrSpan
from ostiary_moderation.detector import DecodedImage, Detections, Detector, Example, IncompleteError
from ostiary_moderation.detectors.runner import DetectorRunner

IMAGES = [DecodedImage(index, 0, np.full((4, 4, 3), index, np.uint8)) for index in range(3)]


class Brightness:
    """A small detector: reads the first pixel's value, fails on one if told to, and can be held up."""

    name = "brightness"
    version = "1"
    policies = ("lighting",)

    def __init__(self, fail_on: int | None = None, failure: Exception | None = None) -> None:
        self._fail_on = fail_on
        self._failure = failure or RuntimeError("a secret that stays in the log")
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self.threads: set[int] = set()

    def detect(self, images: Sequence[DecodedImage]) -> Detections:
        self.threads.add(threading.get_ident())
        self.entered.release()
        self.go_on.wait()
        values = [int(image.pixels[0, 0, 0]) for image in images]
        if self._fail_on in values:
            raise self._failure
        return Detections(ocr=tuple(OcrSpan(text=str(value)) for value in values))

    def examples(self) -> Iterator[Example]:
        yield Example("black", IMAGES[0].pixels, Detections(ocr=(OcrSpan(text="0"),)))


async def test_results_of_all_images_are_gathered() -> None:
    """What is seen comes in the order of the images, with the detector's particulars."""
    detector = Brightness()
    assert isinstance(detector, Detector)
    runner = DetectorRunner(detector)
    report = await runner.run(IMAGES)
    runner.close()
    assert [span.text for span in report.detections.ocr] == ["0", "1", "2"]
    assert (report.info.name, report.info.completed, report.info.error) == ("brightness", True, "")
    assert list(report.info.policies) == ["lighting"]
    assert report.seconds >= 0
    assert threading.get_ident() not in detector.threads


async def test_a_failure_is_reported_and_the_rest_is_kept() -> None:
    """One image that fails leaves the others' results, and the detector counts as not completed."""
    runner = DetectorRunner(Brightness(fail_on=1))
    report = await runner.run(IMAGES)
    runner.close()
    assert [span.text for span in report.detections.ocr] == ["0", "2"]
    assert not report.info.completed
    assert report.info.error == "image 1: RuntimeError"


async def test_words_meant_for_the_caller_get_there() -> None:
    """A detector that says why it could not look at all of an image is quoted."""
    runner = DetectorRunner(Brightness(fail_on=2, failure=IncompleteError("too bright")))
    report = await runner.run(IMAGES)
    runner.close()
    assert report.info.error == "image 2: too bright"
    assert len(report.detections.ocr) == 2


async def test_cancelling_stops_between_two_images() -> None:
    """A caller that goes away saves the images not yet begun."""
    detector = Brightness()
    detector.go_on.clear()
    runner = DetectorRunner(detector)
    running = asyncio.create_task(runner.run(IMAGES))
    await asyncio.to_thread(detector.entered.acquire)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    detector.go_on.set()
    runner.close()
    assert not detector.entered.acquire(blocking=False)
