"""Every detector that ships sees what its own examples say."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ostiary.v1.image_pb2 import Region
from ostiary.v1.observation_pb2 import Barcode, OcrSpan
from ostiary_moderation.detector import (
    DecodedImage,
    Detections,
    Detector,
    Example,
    IncompleteError,
    load_detectors,
)

POLICIES = {"ocr": ("prohibited_ads",), "barcode": ("prohibited_ads",), "hashes": ()}
NAMES = tuple(POLICIES)


@pytest.fixture(scope="module")
def detectors() -> dict[str, Detector]:
    loaded = load_detectors([(name, {}) for name in NAMES], threads=1)
    return {detector.name: detector for detector in loaded}


def evidence(seen: Detections) -> Iterator[tuple[str, ...]]:
    """What is said to be in an image, without places and confidences."""
    for span in seen.ocr:
        yield ("text", span.text)
    for code in seen.barcodes:
        yield ("barcode", code.format, code.text)
    for known in seen.pdq:
        yield ("pdq", known.hash.hex(), str(known.quality))


def regions(seen: Detections) -> list[Region]:
    items: Sequence[OcrSpan | Barcode] = [*seen.ocr, *seen.barcodes]
    return [item.region for item in items]


def inside(region: Region, example: Example) -> bool:
    height, width = example.pixels.shape[:2]
    box = region.box
    return 0 <= box.x < box.x + box.width <= width and 0 <= box.y < box.y + box.height <= height


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_seen(detectors: dict[str, Detector], name: str) -> None:
    """Exactly what each example expects is found, inside the image, at its index and frame."""
    for example in detectors[name].examples():
        seen = detectors[name].detect([DecodedImage(3, 2, example.pixels)])
        assert sorted(evidence(seen)) == sorted(evidence(example.expected)), example.name
        for region in regions(seen):
            assert inside(region, example), example.name
            assert (region.image_index, region.frame) == (3, 2)
        assert all((known.image_index, known.frame) == (3, 2) for known in seen.pdq)


@pytest.mark.parametrize("name", NAMES)
def test_detectors_say_what_they_are(detectors: dict[str, Detector], name: str) -> None:
    """Name, version and the policies that they give evidence for."""
    detector = detectors[name]
    assert detector.name == name
    assert any(character.isdigit() for character in detector.version)
    assert detector.policies == POLICIES[name]


SHAPES = [(1, 1), (1, 4096), (4096, 1), (5, 5), (20, 2000), (31, 700)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("name", NAMES)
def test_any_shape_is_looked_at(detectors: dict[str, Detector], name: str, shape: tuple[int, int]) -> None:
    """Dots and strips of noise neither fail nor blow up, and whatever is seen lies inside them."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    seen = detectors[name].detect([DecodedImage(0, 0, pixels)])
    assert all(inside(region, Example("noise", pixels)) for region in regions(seen))


def test_too_much_text_is_not_read_in_part() -> None:
    """An image with more pieces of text than may be read fails as a whole, in bounded time."""
    (reader,) = load_detectors([("ocr", {"max_texts": 3})], threads=1)
    page = Image.new("RGB", (400, 300), "white")
    for line in range(4):
        words = f"line number {line}"
        ImageDraw.Draw(page).text((20, 20 + 60 * line), words, fill="black", font=ImageFont.load_default(20))
    with pytest.raises(IncompleteError, match="4 pieces of text; at most 3 are read"):
        reader.detect([DecodedImage(0, 0, np.asarray(page))])
    kept = np.asarray(page.crop((0, 0, 400, 180)))
    assert len(reader.detect([DecodedImage(0, 0, kept)]).ocr) == 3


def test_images_keep_their_indices(detectors: dict[str, Detector]) -> None:
    """What is seen in several images at once is told apart by index."""
    code = next(iter(detectors["barcode"].examples())).pixels
    blank = np.full((50, 50, 3), 255, np.uint8)
    images = [DecodedImage(index, 0, pixels) for index, pixels in enumerate([code, blank, code])]
    seen = detectors["barcode"].detect(images)
    assert [code.region.image_index for code in seen.barcodes] == [0, 2]
