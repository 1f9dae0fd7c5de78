"""The logo detector on figurative marks: found by their shape, refused with a reason, or not looked for."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ostiary.v1.inference_pb2 import GalleryMark
from ostiary.v1.observation_pb2 import BrandCandidate
from ostiary_moderation.detector import DecodedImage, Detections
from ostiary_moderation.detectors.logo import LogoDetector, LogoGallery

ARROW = [(0, 75), (64, 0), (128, 75), (96, 75), (96, 128), (32, 128), (32, 75)]
STEPS = [(0, 128), (0, 90), (45, 90), (45, 45), (90, 45), (90, 0), (128, 0), (128, 128)]
BOLT = [(80, 0), (10, 75), (55, 75), (40, 128), (118, 48), (70, 48)]
CROWN = [(0, 110), (0, 20), (32, 64), (64, 0), (96, 64), (128, 20), (128, 110)]
SHAPES = {"arrow": ARROW, "steps": STEPS, "bolt": BOLT, "crown": CROWN}


def ink(points: list[tuple[int, int]], size: int = 128) -> Image.Image:
    image = Image.new("L", (size * 2, size * 2))
    scale = size * 2 / 128
    ImageDraw.Draw(image).polygon([(x * scale, y * scale) for x, y in points], fill=255)
    return image.resize((size, size), Image.Resampling.LANCZOS)


def mark(brand: str, image: bytes = b"") -> GalleryMark:
    if not image:
        picture = Image.new("RGBA", (256, 256))
        picture.putalpha(ink(SHAPES[brand], 256))
        image = png(picture)
    return GalleryMark(brand=brand, reference_id=f"{brand}-mark", image=image)


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def cloth(brand: str, angle: float = 0, colour: tuple[int, int, int] = (24, 28, 60)) -> np.ndarray:
    """A mark of 130 pixels on woven grey, 640 × 480, its corner at (250, 170)."""
    weave = np.random.default_rng(3).normal(200, 4, (480, 640, 1)) + np.array([6, 0, -8])
    card = Image.fromarray(weave.clip(0, 255).astype(np.uint8))
    card.paste(colour, (250, 170), ink(SHAPES[brand], 130).rotate(angle, Image.Resampling.BICUBIC))
    return np.asarray(card)


def told(gallery: LogoGallery, pixels: np.ndarray) -> list[BrandCandidate]:
    return list(gallery.detect([DecodedImage(2, 1, pixels)], Detections()).brands)


@pytest.fixture(scope="module")
def detector() -> LogoDetector:
    return LogoDetector({}, threads=1)


@pytest.fixture(scope="module")
def gallery(detector: LogoDetector) -> LogoGallery:
    return detector.prepare([mark("arrow"), mark("steps"), mark("bolt")])


@pytest.mark.parametrize("brand", ["arrow", "steps", "bolt"])
@pytest.mark.parametrize("angle", [0, 12], ids=["upright", "turned"])
def test_a_mark_is_found_by_its_shape(gallery: LogoGallery, brand: str, angle: float) -> None:
    """With its reference, and a region of the image and frame that lies around it."""
    found = told(gallery, cloth(brand, angle))
    assert [(one.brand, one.reference_id, one.kind) for one in found[:1]] == [
        (brand, f"{brand}-mark", "figurative")
    ]
    region = found[0].region
    assert (region.image_index, region.frame) == (2, 1)
    centre = (region.box.x + region.box.width / 2, region.box.y + region.box.height / 2)
    assert centre == pytest.approx((315, 235), abs=20)


def test_colour_plays_no_part(gallery: LogoGallery) -> None:
    """Light on grey or dark, red or blue: it is the same mark."""
    for colour in ((255, 255, 255), (190, 20, 30), (10, 10, 10)):
        assert [one.brand for one in told(gallery, cloth("arrow", colour=colour))[:1]] == ["arrow"]


def test_an_unregistered_mark_is_not_named_surely(gallery: LogoGallery) -> None:
    """What looks like none of the marks is none of them."""
    assert all(one.score < 0.5 for one in told(gallery, cloth("crown")))


def test_plain_cloth_carries_no_mark(gallery: LogoGallery) -> None:
    """Nothing is named where nothing is."""
    weave = np.random.default_rng(3).normal(180, 4, (480, 640, 3)).clip(0, 255).astype(np.uint8)
    assert all(one.score < 0.5 for one in told(gallery, weave))


def test_a_mark_without_a_shape_is_refused_alone(detector: LogoDetector) -> None:
    """With its reference id and the reason; the others, and its own words, are compared with."""
    plain = mark("plain", png(Image.new("RGB", (64, 64), (9, 9, 9))))
    plain.words.append("Plainfield")
    gallery = detector.prepare([plain, mark("arrow")])
    assert gallery.marks == 2
    (refused,) = gallery.refused
    assert refused.startswith("plain-mark: nothing stands out")


@pytest.mark.parametrize(
    ("settings", "weights", "why"),
    [
        pytest.param({"figurative": False}, None, "switched off in this bundle", id="switched off"),
        pytest.param({}, "nowhere", "not installed here", id="without networks"),
    ],
)
def test_it_says_so_where_figures_are_not_looked_for(
    tmp_path: Path, settings: dict[str, bool], weights: str | None, why: str
) -> None:
    """Marks with an image are refused, words are read, and the version names no networks."""
    where = {"weights": tmp_path / weights} if weights else {}
    detector = LogoDetector(settings, threads=1, **where)
    gallery = detector.prepare([mark("arrow"), GalleryMark(brand="b", reference_id="w", words=["Larkfield"])])
    assert gallery.marks == 1
    (refused,) = gallery.refused
    assert refused.startswith("arrow-mark: ")
    assert why in refused
    assert "figurative" not in detector.version
    assert "figure" not in {example.name for example in detector.examples()}


def test_the_version_names_the_networks(detector: LogoDetector) -> None:
    """What was seen by other networks is not taken for the same."""
    assert "figurative marks" in detector.version
