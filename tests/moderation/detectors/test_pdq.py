"""PDQ: the published hash of what is seen, whatever the file it came in."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from ostiary.demo import demo_images
from ostiary_moderation.detectors.pdq import Pdq, pdq

Pixels = NDArray[np.uint8]

# Of the demo's photographs as pdqhash 0.2.8 has them, which wraps the published C++: hash and quality.
PUBLISHED = {
    "coffee.jpg": ("8c629e769a663688b9a3b866c126726c21a679f61eb6e1f8c79ba7e23c8299e0", 100),
    "shirt.png": ("1e615a7ce87df87d558251e98586ac97fe165a565878856aa42dd7837861383c", 100),
    "cat.jpg": ("5feb5b21f01da156898e2b7629a5d3438412cdbd23f48942464526315db33ffd", 100),
    "astronaut.jpg": ("2d6f1af3a956c529c79ca3d2526fa834d4196c81cedd04de0a26b855fc99b724", 100),
}


def photograph(file: str) -> Pixels:
    (data,) = (image.read() for image in demo_images() if image.file == file)
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def distance(a: Pdq, b: Pdq) -> int:
    return (int.from_bytes(a.hash) ^ int.from_bytes(b.hash)).bit_count()


@pytest.mark.parametrize("file", PUBLISHED)
def test_photographs_have_the_published_hash(file: str) -> None:
    """But for bits whose frequency is within rounding of the median."""
    found, (published, quality) = pdq(photograph(file)), PUBLISHED[file]
    assert distance(found, Pdq(bytes.fromhex(published), quality)) <= 2
    assert found.quality == quality


def test_there_are_as_many_ones_as_zeros() -> None:
    """Half of all frequencies are above the median."""
    assert int.from_bytes(pdq(photograph("cat.jpg")).hash).bit_count() == 128


def smaller(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((300, 200), Image.Resampling.LANCZOS))


def recompressed(pixels: Pixels) -> Pixels:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=40)
    with Image.open(file) as image:
        return np.asarray(image)


def paler(pixels: Pixels) -> Pixels:
    return (60 + pixels * 0.7).astype(np.uint8)


@pytest.mark.parametrize("change", [smaller, recompressed, paler], ids=lambda change: change.__name__)
def test_copies_are_near(change: Callable[[Pixels], Pixels]) -> None:
    """What sellers do to a picture leaves it within the distance at which lists match."""
    original = photograph("coffee.jpg")
    assert distance(pdq(original), pdq(change(original))) <= 31


def turned(pixels: Pixels) -> Pixels:
    return np.rot90(pixels, 2)


def mirrored(pixels: Pixels) -> Pixels:
    return np.fliplr(pixels)


@pytest.mark.parametrize("change", [turned, mirrored], ids=lambda change: change.__name__)
def test_turned_and_mirrored_copies_are_other_images(change: Callable[[Pixels], Pixels]) -> None:
    """PDQ does not see through them: a list must hold each that it means."""
    original = photograph("coffee.jpg")
    assert distance(pdq(original), pdq(change(original))) > 64


def test_two_photographs_are_far_apart() -> None:
    """About half of the bits differ."""
    assert 90 <= distance(pdq(photograph("coffee.jpg")), pdq(photograph("cat.jpg"))) <= 166


def test_exchanging_the_sides_exchanges_the_frequencies() -> None:
    """The hash of the mirror image at the diagonal is the 16 × 16 bits, mirrored at theirs."""
    pixels = photograph("cat.jpg")
    bits = np.unpackbits(np.frombuffer(pdq(pixels).hash, np.uint8)).reshape(16, 16)
    # The first bit is the last frequency's, so rows and columns both run backwards, which mirroring keeps.
    exchanged = Pdq(np.packbits(bits.T).tobytes(), 0)
    assert distance(exchanged, pdq(pixels.transpose(1, 0, 2))) <= 2


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nothing_to_see_has_no_quality(level: int) -> None:
    """The hash of an empty image is chance, and is said to mean nothing."""
    assert pdq(np.full((90, 120, 3), level, np.uint8)).quality == 0


@pytest.mark.parametrize("shape", [(4, 500), (500, 4), (1, 1)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_strips_are_not_hashed(shape: tuple[int, int]) -> None:
    """As published: a side of less than five pixels makes no hash, and its quality says so."""
    assert pdq(np.zeros((*shape, 3), np.uint8)) == Pdq(bytes(32), 0)


@settings(max_examples=25, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(5, 140), st.integers(5, 140), st.just(3))))
def test_any_image_has_a_hash(pixels: Pixels) -> None:
    """32 bytes, a quality from 0 to 100, and the same for the same pixels."""
    found = pdq(pixels)
    assert len(found.hash) == 32
    assert 0 <= found.quality <= 100
    assert found == pdq(pixels.copy())
