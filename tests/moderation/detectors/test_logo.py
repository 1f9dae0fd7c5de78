"""The logo detector: galleries of word marks, compared with what the OCR detector really reads."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ostiary.v1.inference_pb2 import GalleryMark
from ostiary.v1.observation_pb2 import BrandCandidate
from ostiary_moderation.detector import DecodedImage, Detections, Detector, GalleryDetector, PreparedGallery
from ostiary_moderation.detectors.logo import LogoDetector
from ostiary_moderation.detectors.ocr import OcrDetector
from ostiary_moderation.training.lettering import chinese_fonts


def word(brand: str, *words: str) -> GalleryMark:
    return GalleryMark(brand=brand, reference_id=f"{brand}-word", words=words)


MARKS = [
    word("north-face", "The North Face"),
    word("nike", "Nike", "耐克"),
    word("calvin-klein", "Calvin Klein"),
    word("gap", "GAP"),
    word("viber", "Viber"),
]


@pytest.fixture(scope="module")
def detector() -> LogoDetector:
    return LogoDetector({}, threads=1)


@pytest.fixture(scope="module")
def reader() -> OcrDetector:
    return OcrDetector({}, threads=1)


@pytest.fixture(scope="module")
def gallery(detector: LogoDetector) -> PreparedGallery:
    return detector.prepare(MARKS)


def test_it_keeps_the_contract(detector: LogoDetector) -> None:
    """It compares with galleries, builds on OCR, and is no detector that looks by itself."""
    assert isinstance(detector, GalleryDetector)
    assert not isinstance(detector, Detector)
    assert (detector.name, detector.policies, detector.follows) == ("logo", ("logo_infringement",), ("ocr",))
    assert any(character.isdigit() for character in detector.version)


def test_unknown_settings_are_refused() -> None:
    """A misspelt setting does not go unnoticed."""
    with pytest.raises(ValueError, match="min_scores"):
        LogoDetector({"min_scores": 0.5}, threads=1)


def test_examples_are_seen(detector: LogoDetector) -> None:
    """Exactly the brands that each example expects, in the image and frame that was looked at."""
    for example in detector.examples():
        spans = [type(span).FromString(span.SerializeToString()) for span in example.seen.ocr]
        for span in spans:
            span.region.image_index, span.region.frame = 3, 2
        image = DecodedImage(3, 2, example.pixels)
        seen = detector.prepare(example.marks).detect([image], Detections(ocr=tuple(spans)))
        assert [(each.brand, each.kind) for each in seen.brands] == [
            (each.brand, each.kind) for each in example.expected.brands
        ], example.name
        assert all((each.region.image_index, each.region.frame) == (3, 2) for each in seen.brands)


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        pytest.param(
            GalleryMark(brand="b", reference_id="r", image=b"\x89PNG"), "figurative", id="a figurative mark"
        ),
        pytest.param(word("b", "X"), "fewer than two letters", id="one letter"),
        pytest.param(word("b", "★ ★"), "fewer than two letters", id="no letter"),
        pytest.param(word("b", "x" * 61), "60 letters", id="an essay"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(detector: LogoDetector, mark: GalleryMark, why: str) -> None:
    """The reason names the mark; the others are in use."""
    gallery = detector.prepare([mark, word("nike", "Nike")])
    assert gallery.marks == 1
    (refused,) = gallery.refused
    assert refused.startswith(f"{mark.reference_id}: ")
    assert why in refused


def test_a_degenerate_spelling_does_not_cost_the_mark(detector: LogoDetector) -> None:
    """The other spellings of the mark are in use."""
    gallery = detector.prepare([word("nike", "N", "Nike")])
    assert gallery.marks == 1
    assert len(gallery.refused) == 1


def test_nothing_to_compare_with(detector: LogoDetector) -> None:
    """A gallery of which nothing is left says so, and finds nothing."""
    gallery = detector.prepare([word("b", "X")])
    assert gallery.marks == 0
    assert gallery.detect([DecodedImage(0, 0, np.zeros((9, 9, 3), np.uint8))], Detections()) == Detections()


def picture(*lines: tuple[str, int, int, int], font: str = "") -> np.ndarray:
    """Print on a card of 640 × 480: text, left, top, and size in pixels."""
    image = Image.new("RGB", (640, 480), (236, 234, 228))
    for text, left, top, size in lines:
        face = ImageFont.truetype(font, size) if font else ImageFont.load_default(size)
        ImageDraw.Draw(image).text((left, top), text, fill=(30, 30, 40), font=face)
    return np.asarray(image)


def looked_at(reader: OcrDetector, gallery: PreparedGallery, pixels: np.ndarray) -> list[BrandCandidate]:
    image = DecodedImage(0, 0, pixels)
    return list(gallery.detect([image], reader.detect([image])).brands)


@pytest.mark.parametrize(
    ("lines", "brand"),
    [
        pytest.param([("NIKE AIR", 120, 180, 60)], "nike", id="in a line"),
        pytest.param([("N1KE", 180, 180, 80)], "nike", id="a digit for a letter"),
        pytest.param([("GAP", 200, 160, 120)], "gap", id="a common word, alone and large"),
        pytest.param(
            [("THE", 180, 100, 70), ("NORTH", 180, 180, 70), ("FACE", 180, 260, 70)],
            "north-face",
            id="three lines",
        ),
        pytest.param([("CALVIN", 180, 150, 50), ("KLEIN", 190, 215, 50)], "calvin-klein", id="two lines"),
        pytest.param([("CalvinKlein", 130, 180, 56)], "calvin-klein", id="merged"),
    ],
)
def test_marks_are_read_in_images(
    reader: OcrDetector, gallery: PreparedGallery, lines: list[tuple[str, int, int, int]], brand: str
) -> None:
    """From pixels to a candidate whose region lies around the print."""
    (best, *others) = looked_at(reader, gallery, picture(*lines))
    assert (best.brand, best.kind, best.reference_id) == (brand, "word", f"{brand}-word")
    assert best.score >= 0.7
    assert not any(other.brand != brand for other in others)
    box = best.region.box
    assert abs(box.x - lines[0][1]) < 24
    assert lines[0][2] - 10 < box.y < lines[0][2] + 40
    assert box.y + box.height > lines[-1][2] + lines[-1][3] // 2


@pytest.mark.parametrize("font", chinese_fonts()[:2], ids=["first font", "second font"])
def test_chinese_marks_are_read_in_images(reader: OcrDetector, gallery: PreparedGallery, font: str) -> None:
    """耐克 is Nike."""
    (best,) = looked_at(reader, gallery, picture(("耐克", 200, 160, 90), font=font))
    assert best.brand == "nike"


def test_other_print_is_no_mark(reader: OcrDetector, gallery: PreparedGallery) -> None:
    """GOOD VIBES ONLY, a size and a washing instruction name no brand."""
    pixels = picture(
        ("GOOD VIBES", 120, 80, 70), ("SIZE XL", 120, 200, 40), ("machine wash 30", 120, 300, 30)
    )
    assert looked_at(reader, gallery, pixels) == []
