"""A detector that compares with galleries, for tests: it finds every word that is read and in the gallery."""

import threading
from collections.abc import Iterator, Sequence

from ostiary.v1.inference_pb2 import GalleryMark, PutGalleryRequest
from ostiary.v1.observation_pb2 import BrandCandidate, OcrSpan
from ostiary.wire.gallery import gallery_digest
from ostiary_moderation.detector import DecodedImage, Detections, Example, IncompleteError
from ostiary_moderation.detectors.regions import region


def mark(brand: str, *words: str, reference_id: str = "") -> GalleryMark:
    return GalleryMark(brand=brand, reference_id=reference_id or f"{brand}-word", words=words or [brand])


def put(*marks: GalleryMark) -> PutGalleryRequest:
    """A gallery with its digest."""
    return PutGalleryRequest(digest=gallery_digest(marks), marks=marks)


class Caption:
    """A small reader: says `text` of every image; is stopped while `go_on` is not set; fails if told to."""

    name = "ocr"
    version = "1"
    policies = ()

    def __init__(self, text: str) -> None:
        self.text = text
        self.fails = False
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()

    def detect(self, images: Sequence[DecodedImage]) -> Detections:
        self.entered.release()
        self.go_on.wait()
        if self.fails:
            raise IncompleteError("too dark")
        spans = [
            OcrSpan(text=self.text, confidence=1.0, region=region(image, [(0, 0), (9, 9)]))
            for image in images
        ]
        return Detections(ocr=tuple(spans))

    def examples(self) -> Iterator[Example]:
        yield from ()


class Lookup:
    """Compares what was read with the words of a gallery; words of one letter are refused."""

    name = "lookup"
    version = "1"
    policies = ("logo_infringement",)
    follows = ("ocr",)

    def __init__(self) -> None:
        self.prepared = 0

    def prepare(self, marks: Sequence[GalleryMark]) -> "Words":
        self.prepared += 1
        return Words(marks)

    def examples(self) -> Iterator[Example]:
        yield from ()


class Words:
    """A gallery as `Lookup` compares with it."""

    def __init__(self, marks: Sequence[GalleryMark]) -> None:
        self._brands = {word: mark.brand for mark in marks for word in mark.words if len(word) > 1}
        self.marks = len(self._brands)
        self.refused = [
            f"{mark.reference_id}: too short" for mark in marks for word in mark.words if len(word) < 2
        ]

    def detect(self, images: Sequence[DecodedImage], seen: Detections) -> Detections:
        return Detections(
            brands=tuple(
                BrandCandidate(brand=self._brands[span.text], region=span.region)
                for span in seen.ocr
                if span.text in self._brands
            )
        )
