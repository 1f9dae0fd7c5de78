"""What people see before they ask for the picture."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

from moderation.decode.pictures import noise, save
from ostiary_moderation.decode.blur import blurred
from ostiary_moderation.decode.canonical import canonicalise
from ostiary_moderation.decode.protocol import MAX_BLURRED
from ostiary_moderation.decode.result import Canonical


def opened(file: bytes) -> Image.Image:
    with Image.open(BytesIO(file), formats=["JPEG"]) as image:
        image.load()
        return image


@pytest.mark.parametrize(
    ("size", "shown"),
    [((1200, 800), (256, 171)), ((800, 1200), (171, 256)), ((10, 10), (256, 256)), ((2000, 40), (256, 5))],
    ids=["landscape", "portrait", "tiny", "strip"],
)
def test_a_rendition_is_small_and_of_the_same_shape(size: tuple[int, int], shown: tuple[int, int]) -> None:
    """Noise, which compresses worst, stays far below what the pod takes of a worker."""
    file = blurred(Image.effect_noise(size, 120).convert("RGB"))
    assert opened(file).size == shown
    assert len(file) <= MAX_BLURRED / 2


def test_letters_cannot_be_read_in_it() -> None:
    """Two texts of one length give renditions that differ by next to nothing, though the pictures do."""
    renditions = []
    for text in ("CALL 555 0199", "SALE 999 7211"):
        image = Image.new("RGB", (900, 900), "white")
        ImageDraw.Draw(image).text((120, 420), text, fill="black", font_size=60)
        renditions.append(np.asarray(opened(blurred(image)), dtype=int))
    difference = np.abs(renditions[0] - renditions[1])
    assert difference.max() < 64
    assert difference.mean() < 2


def test_colours_and_places_stay() -> None:
    """A reviewer can still tell what kind of picture it is: halves of different colours stay halves."""
    image = Image.new("RGB", (600, 400), (200, 30, 40))
    image.paste((20, 60, 200), (300, 0, 600, 400))
    shown = np.asarray(opened(blurred(image)), dtype=int)
    assert np.abs(shown[85, 30] - (200, 30, 40)).max() < 12
    assert np.abs(shown[85, 225] - (20, 60, 200)).max() < 12


@pytest.mark.parametrize("data", [noise("JPEG"), save(Image.new("L", (30, 900)), "PNG")], ids=["jpeg", "png"])
def test_every_canonical_image_has_one(data: bytes) -> None:
    """It is made of the canonical pixels, the same for the same file, without metadata of the original."""
    first, second = canonicalise(data), canonicalise(data)
    assert isinstance(first, Canonical)
    assert isinstance(second, Canonical)
    assert first.blurred == second.blurred
    assert opened(first.blurred).getexif() == {}
