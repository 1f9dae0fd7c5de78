"""The contract of detectors: what looks at canonical pixels beside the model, and says what it saw.

A detector is a class named in the entry-point group `ostiary.detectors`. A bundle's manifest says which ones
run, by that name, with their settings. They return parts of the wire's `Observations`, never a judgement.

There are two kinds. A `Detector` looks at images and at nothing else. A `GalleryDetector` compares with the
marks of a gallery, which is replaced while the pod runs, and may build on what detectors saw before it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable

import numpy as np
import structlog
from numpy.typing import NDArray

from ostiary.v1.image_pb2 import Region
from ostiary.v1.inference_pb2 import GalleryMark
from ostiary.v1.observation_pb2 import Barcode, BrandCandidate, OcrSpan, PdqHash, PolicyScore

_log = structlog.get_logger(__name__)
GROUP = "ostiary.detectors"


class DetectorError(ValueError):
    """A detector that cannot be had; the message says what to change in the bundle or the installation."""


class IncompleteError(Exception):
    """A detector could not look at the whole of an image; the message goes to the caller of the check."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """One frame to look at.

    `index`: of the image in the request. `frame`: zero-based, in that image. `pixels`: height × width × 3,
    uint8, sRGB, canonical; read-only.
    """

    index: int
    frame: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector saw, in the terms of the contract; regions lie within the canonical image."""

    ocr: tuple[OcrSpan, ...] = ()
    barcodes: tuple[Barcode, ...] = ()
    brands: tuple[BrandCandidate, ...] = ()
    scores: tuple[PolicyScore, ...] = ()
    pdq: tuple[PdqHash, ...] = ()

    def __add__(self, other: "Detections") -> "Detections":
        """Both together."""
        return Detections(
            ocr=self.ocr + other.ocr,
            barcodes=self.barcodes + other.barcodes,
            brands=self.brands + other.brands,
            scores=self.scores + other.scores,
            pdq=self.pdq + other.pdq,
        )

    def in_frame(self, image: DecodedImage) -> "Detections":
        """What was seen in this frame. Scores are of whole images."""
        return Detections(
            ocr=tuple(span for span in self.ocr if _is_in(span.region, image)),
            barcodes=tuple(code for code in self.barcodes if _is_in(code.region, image)),
            brands=tuple(brand for brand in self.brands if _is_in(brand.region, image)),
            scores=tuple(score for score in self.scores if score.image_index == image.index),
            pdq=tuple(
                known for known in self.pdq if (known.image_index, known.frame) == (image.index, image.frame)
            ),
        )


def _is_in(region: Region, image: DecodedImage) -> bool:
    return (region.image_index, region.frame) == (image.index, image.frame)


@dataclass(frozen=True, slots=True)
class Example:
    """An image and what the detector must see in it; nothing expected means that it must see nothing.

    `marks` and `seen`: for a `GalleryDetector`, the gallery and what the detectors that it follows saw.
    """

    name: str
    pixels: NDArray[np.uint8]
    expected: Detections = field(default_factory=Detections)
    marks: tuple[GalleryMark, ...] = ()
    seen: Detections = field(default_factory=Detections)


@runtime_checkable
class Detector(Protocol):
    """Looks at images. Constructed as `cls(settings, threads)`, with ValueError for unknown settings.

    A class may have a `notice`: what whoever switches it on has to know, such as a licence. It is logged when
    the detector is loaded, and shown beside the bundle that asks for it.
    """

    @property
    def name(self) -> str:
        """Name, as the entry point has it."""

    @property
    def version(self) -> str:
        """Version of the detector and its model."""

    @property
    def policies(self) -> tuple[str, ...]:
        """Policies whose evidence it provides."""

    def detect(self, images: Sequence[DecodedImage]) -> Detections:
        """Look at the images. Called from one thread at a time, never the event loop's.

        May raise anything; only an IncompleteError's message leaves the pod.
        """

    def examples(self) -> Iterator[Example]:
        """Images with what it must see in them; they feed the tests."""


class PreparedGallery(Protocol):
    """A gallery as one detector compares with it. Never changes: checks that have begun with it finish so."""

    @property
    def marks(self) -> int:
        """How many marks it compares with; with none, it judges nothing."""

    @property
    def refused(self) -> Sequence[str]:
        """Marks, or spellings of one, that it cannot compare with: the reference id and why, in words."""

    def detect(self, images: Sequence[DecodedImage], seen: Detections) -> Detections:
        """Look at the images; `seen`: what the detectors that are followed saw in them.

        As `Detector.detect`.
        """


@runtime_checkable
class GalleryDetector(Protocol):
    """Compares images with a gallery's marks. Constructed as a `Detector` is."""

    @property
    def name(self) -> str:
        """Name, as the entry point has it."""

    @property
    def version(self) -> str:
        """Version of the detector and its model."""

    @property
    def policies(self) -> tuple[str, ...]:
        """Policies whose evidence it provides while there is a gallery."""

    @property
    def follows(self) -> tuple[str, ...]:
        """Names of the detectors whose detections it is given. Where one did not complete, neither did it."""

    def prepare(self, marks: Sequence[GalleryMark]) -> PreparedGallery:
        """Make ready to compare with the marks, whose brand and reference id are given. In any thread."""

    def examples(self) -> Iterator[Example]:
        """Images with what it must see in them; they feed the tests."""


AnyDetector = Detector | GalleryDetector


def load_detectors(wanted: Iterable[tuple[str, Mapping[str, Any]]], threads: int) -> list[AnyDetector]:
    """Return the detectors of the given names, made with their settings and for `threads` CPU threads each.

    Raises DetectorError for a name that no installed package provides, for settings that do not fit, and for
    a detector without those that it follows.
    """
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    loaded = [_load(name, settings, threads, installed) for name, settings in wanted]
    names = {detector.name for detector in loaded}
    for detector in loaded:
        if isinstance(detector, GalleryDetector) and (missing := set(detector.follows) - names):
            raise DetectorError(
                f"detector {detector.name}: builds on what {', '.join(sorted(missing))} saw; "
                "add it to the detectors too"
            )
    return loaded


def _load(
    name: str, settings: Mapping[str, Any], threads: int, installed: Mapping[str, EntryPoint]
) -> AnyDetector:
    if name not in installed:
        names = ", ".join(sorted(installed)) or "none"
        raise DetectorError(f"detector {name}: not installed; there are {names}")
    try:
        detector = installed[name].load()(settings, threads)
    except (ImportError, ValueError) as error:
        raise DetectorError(f"detector {name}: {error}") from error
    if not isinstance(detector, Detector | GalleryDetector):
        raise DetectorError(
            f"detector {name}: {installed[name].value} does not keep the contract of detectors"
        )
    if notice := _notice(type(detector)):
        _log.warning("notice of a detector", detector=name, notice=notice)
    return detector


def notices(names: Iterable[str]) -> dict[str, str]:
    """The notices of those of the detectors that have one; none of them is made for it."""
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    found = {name: _notice_of(installed[name]) for name in names if name in installed}
    return {name: notice for name, notice in found.items() if notice}


def _notice_of(entry: EntryPoint) -> str:
    try:
        return _notice(entry.load())
    except ImportError:  # its libraries are not here, and neither can it be switched on
        return ""


def _notice(kind: type) -> str:
    return str(getattr(kind, "notice", ""))
