"""Marks of brands: words, read by OCR and compared with the spellings in the gallery; figures by their shape.

Text is not read here: what the OCR detector read is.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pydantic import BaseModel, ConfigDict, Field

from ostiary.v1.image_pb2 import Box as PixelBox
from ostiary.v1.image_pb2 import Region
from ostiary.v1.inference_pb2 import GalleryMark
from ostiary.v1.observation_pb2 import BrandCandidate, OcrSpan
from ostiary_moderation.detector import DecodedImage, Detections, Example
from ostiary_moderation.detectors.regions import region
from ostiary_moderation.figurative.marks import Mark, UnusableError, read_mark
from ostiary_moderation.figurative.matching import Found as FoundFigure
from ostiary_moderation.figurative.matching import Matcher as Figures
from ostiary_moderation.figurative.networks import SHIPPED, Networks, version_in
from ostiary_moderation.wordmarks.layout import Box, Line
from ostiary_moderation.wordmarks.matcher import Found, Matcher
from ostiary_moderation.wordmarks.spelling import DegenerateError, Spelling

_WORD, _FIGURE = "word", "figurative"


class LogoSettings(BaseModel):
    """Settings of the logo detector in a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_score: float = Field(default=0.2, ge=0, le=1)
    """Marks that are less likely are not reported. What a score leads to is for the policy to say."""

    figurative: bool = True
    """Whether marks with an image are looked for by their shape."""


class LogoDetector:
    """Finds word marks, also misspelt, split over lines, or among other words; and figurative marks."""

    name = "logo"
    policies = ("logo_infringement",)
    follows = ("ocr",)

    def __init__(self, settings: Mapping[str, Any], threads: int, weights: Path = SHIPPED) -> None:
        """`weights`: the folder of the networks for figurative marks. Without them, and where the settings
        say so, word marks alone are looked for. Raises ValueError for settings that do not fit.
        """
        self._settings = LogoSettings.model_validate(dict(settings))
        self._threads = threads
        self._weights = weights

    @property
    def version(self) -> str:
        """Version of the rules for words, and of the networks for figures where there are any."""
        figures = self._figures_version
        return f"word marks 1; figurative marks {figures}" if figures else "word marks 1"

    def prepare(self, marks: Sequence[GalleryMark]) -> "LogoGallery":
        """Index the spellings of the marks and the shapes of their images; degenerate ones are refused."""
        words, refused = _spellings(marks)
        figures = None
        if any(mark.image for mark in marks):
            if self._networks is None:
                why = "switched off in this bundle" if not self._settings.figurative else "not installed here"
                refused += [
                    f"{mark.reference_id}: figurative marks are not looked for ({why}): register its words"
                    for mark in marks
                    if mark.image
                ]
            else:
                shapes, unusable = _shapes(marks)
                figures = Figures(self._networks, shapes)
                refused += [*unusable, *figures.refused]
        return LogoGallery(words, figures, refused, self._settings.min_score)

    @cached_property
    def _figures_version(self) -> str | None:
        return version_in(self._weights) if self._settings.figurative else None

    @cached_property
    def _networks(self) -> Networks | None:
        return Networks(self._weights, self._threads) if self._figures_version else None

    def examples(self) -> Iterator[Example]:
        """A mark alone, one misspelt, one in three lines, one among words, and text that is none of them;
        and a figure, where figures are looked for.
        """
        for name, lines, brands in (
            ("alone", ["Larkfield"], ["larkfield"]),
            ("misspelt", ["L4RKFIELLD"], ["larkfield"]),
            ("three lines", ["THE", "OPEN", "QUAYSIDE"], ["quayside"]),
            ("among words", ["larkfield originals since 1987"], ["larkfield"]),
            ("other words", ["Large fields forever", "Quay"], []),
        ):
            yield _example(name, lines, brands)
        if self._figures_version:
            yield _figure_example()


class LogoGallery:
    """The spellings and the shapes of a gallery, indexed."""

    def __init__(
        self,
        spellings: Sequence[Spelling],
        figures: Figures | None,
        refused: Sequence[str],
        min_score: float,
    ) -> None:
        shapes = figures.marks if figures else []
        named = {spelling.reference_id for spelling in spellings} | {mark.reference_id for mark in shapes}
        self.marks = len(named)
        self.refused = tuple(refused)
        self._matcher = Matcher(spellings, min_score)
        self._figures = figures
        self._min_score = min_score

    def detect(self, images: Sequence[DecodedImage], seen: Detections) -> Detections:
        """Compare the text that was read in the images with the spellings, and the images with the shapes."""
        found = [brand for image in images for brand in self._detect_in(image, seen.in_frame(image).ocr)]
        return Detections(brands=tuple(found))

    def _detect_in(self, image: DecodedImage, spans: Sequence[OcrSpan]) -> Iterator[BrandCandidate]:
        height, width = image.pixels.shape[:2]
        for found in self._matcher.find(list(map(_line, spans)), width, height):
            yield _candidate(image, found)
        if self._figures is not None:
            for figure in self._figures.find(image.pixels, self._min_score):
                yield _figure(image, figure)


def _spellings(marks: Sequence[GalleryMark]) -> tuple[list[Spelling], list[str]]:
    """The spellings of the marks, and those that cannot be compared with, in words."""
    spellings: list[Spelling] = []
    refused: list[str] = []
    for mark in marks:
        for word in mark.words:
            try:
                spellings.append(Spelling.of(mark.brand, mark.reference_id, word))
            except DegenerateError as error:
                refused.append(f"{mark.reference_id}: {word[:80]!r}: {error}")
    return spellings, refused


def _shapes(marks: Sequence[GalleryMark]) -> tuple[list[Mark], list[str]]:
    """The shapes of the marks that have an image, and those that have none to compare with, in words."""
    shapes: list[Mark] = []
    refused: list[str] = []
    for mark in marks:
        if not mark.image:
            continue
        try:
            shapes.append(read_mark(mark.brand, mark.reference_id, mark.image))
        except UnusableError as error:
            refused.append(f"{mark.reference_id}: {error}")
    return shapes, refused


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


def _figure(image: DecodedImage, found: FoundFigure) -> BrandCandidate:
    box = found.box
    return BrandCandidate(
        brand=found.mark.brand,
        reference_id=found.mark.reference_id,
        score=found.score,
        region=region(image, [(box.left, box.top), (box.right, box.bottom)]),
        kind=_FIGURE,
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


def _figure_example() -> Example:
    """An arrowhead above a bar, dark on a light card."""
    mark = GalleryMark(brand="quiverhill", reference_id="quiverhill-arrow", image=_png(_arrow()))
    card = Image.new("RGB", (640, 480), (222, 216, 205))
    ink = _arrow().resize((150, 150), Image.Resampling.LANCZOS)
    card.paste((34, 40, 72), (240, 160), ink)
    expected = BrandCandidate(brand=mark.brand, kind=_FIGURE)
    return Example("figure", np.asarray(card), Detections(brands=(expected,)), (mark, *_EXAMPLE_MARKS))


def _arrow() -> Image.Image:
    """The ink, 255 on 0, to the edges of the image."""
    ink = Image.new("L", (256, 256))
    draw = ImageDraw.Draw(ink)
    draw.polygon([(0, 150), (128, 0), (255, 150), (180, 150), (128, 80), (76, 150)], fill=255)
    draw.rectangle((90, 175, 166, 255), fill=255)
    draw.ellipse((8, 180, 76, 248), fill=255)
    return ink


def _png(ink: Image.Image) -> bytes:
    mark = Image.new("RGBA", ink.size)
    mark.putalpha(ink)
    stream = io.BytesIO()
    mark.save(stream, "PNG")
    return stream.getvalue()
