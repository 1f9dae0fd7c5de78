"""Marks of brands: words, read by OCR and compared with the spellings in the gallery.

Text is not read here: what the OCR detector read is. Figurative marks are not looked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ostiary.v1.image_pb2 import Box as PixelBox
from ostiary.v1.image_pb2 import Region
from ostiary.v1.inference_pb2 import GalleryMark
from ostiary.v1.observation_pb2 import BrandCandidate, OcrSpan
from ostiary_moderation.detector import DecodedImage, Detections, Example
from ostiary_moderation.detectors.regions import region
from ostiary_moderation.wordmarks.layout import Box, Line
from ostiary_moderation.wordmarks.matcher import Found, Matcher
from ostiary_moderation.wordmarks.spelling import DegenerateError, Spelling

_WORD = "word"


class LogoSettings(BaseModel):
    """Settings of the logo detector in a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_score: float = Field(default=0.2, ge=0, le=1)
    """Marks that are less likely are not reported. What a score leads to is for the policy to say."""


class LogoDetector:
    """Finds word marks, also misspelt, split over lines, or among other words."""

    name = "logo"
    version = "word marks 1"
    policies = ("logo_infringement",)
    follows = ("ocr",)

    def __init__(self, settings: Mapping[str, Any], threads: int) -> None:
        """`threads` changes nothing. Raises ValueError for settings that do not fit."""
        self._settings = LogoSettings.model_validate(dict(settings))

    def prepare(self, marks: Sequence[GalleryMark]) -> "WordGallery":
        """Index the spellings of the marks; figurative and degenerate ones are refused."""
        spellings: list[Spelling] = []
        refused: list[str] = []
        for mark in marks:
            if mark.image:
                refused.append(
                    f"{mark.reference_id}: figurative marks are not looked for: register its words"
                )
            for word in mark.words:
                try:
                    spellings.append(Spelling.of(mark.brand, mark.reference_id, word))
                except DegenerateError as error:
                    refused.append(f"{mark.reference_id}: {word[:80]!r}: {error}")
        return WordGallery(spellings, refused, self._settings.min_score)

    def examples(self) -> Iterator[Example]:
        """A mark alone, one misspelt, one in three lines, one among words, and text that is none of them."""
        for name, lines, brands in (
            ("alone", ["Larkfield"], ["larkfield"]),
            ("misspelt", ["L4RKFIELLD"], ["larkfield"]),
            ("three lines", ["THE", "OPEN", "QUAYSIDE"], ["quayside"]),
            ("among words", ["larkfield originals since 1987"], ["larkfield"]),
            ("other words", ["Large fields forever", "Quay"], []),
        ):
            yield _example(name, lines, brands)


class WordGallery:
    """The spellings of a gallery, indexed."""

    def __init__(self, spellings: Sequence[Spelling], refused: Sequence[str], min_score: float) -> None:
        self.marks = len({spelling.reference_id for spelling in spellings})
        self.refused = tuple(refused)
        self._matcher = Matcher(spellings, min_score)

    def detect(self, images: Sequence[DecodedImage], seen: Detections) -> Detections:
        """Compare the text that was read in the images with the spellings."""
        return Detections(
            brands=tuple(
                brand for image in images for brand in self._detect_in(image, seen.in_frame(image).ocr)
            )
        )

    def _detect_in(self, image: DecodedImage, spans: Sequence[OcrSpan]) -> list[BrandCandidate]:
        height, width = image.pixels.shape[:2]
        return [
            _candidate(image, found) for found in self._matcher.find(list(map(_line, spans)), width, height)
        ]


def _line(span: OcrSpan) -> Line:
    box = span.region.box
    return Line(span.text, span.confidence, Box(box.x, box.y, box.x + box.width, box.y + box.height))


def _candidate(image: DecodedImage, found: Found) -> BrandCandidate:
    box = found.box
    return BrandCandidate(
        brand=found.brand,
        reference_id=found.reference_id,
        score=found.score,
        region=region(image, [(box.left, box.top), (box.right, box.bottom)]),
        kind=_WORD,
    )


_EXAMPLE_MARKS = (
    GalleryMark(brand="larkfield", reference_id="larkfield-word", words=["Larkfield"]),
    GalleryMark(brand="quayside", reference_id="quayside-word", words=["The Open Quayside"]),
)


def _example(name: str, lines: Sequence[str], brands: Sequence[str]) -> Example:
    """Lines of print, 30 pixels high, one below another on a card of 640 × 300."""
    spans = [
        OcrSpan(
            text=text,
            confidence=0.98,
            region=Region(box=PixelBox(x=40, y=40 + 40 * number, width=18 * len(text), height=30)),
        )
        for number, text in enumerate(lines)
    ]
    card = np.full((300, 640, 3), 225, np.uint8)
    expected = tuple(BrandCandidate(brand=brand, kind=_WORD) for brand in brands)
    return Example(name, card, Detections(brands=expected), _EXAMPLE_MARKS, Detections(ocr=tuple(spans)))
