"""Uploaded marks: what is taken for their shape, and which are refused with a reason."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ostiary_moderation.figurative.marks import UnusableError, read_mark
from ostiary_moderation.figurative.view import FILLED, SIDE


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def ring(size: int = 256) -> Image.Image:
    ink = Image.new("L", (size, size))
    draw = ImageDraw.Draw(ink)
    draw.ellipse((size * 0.2, size * 0.2, size * 0.8, size * 0.8), fill=255)
    draw.ellipse((size * 0.4, size * 0.4, size * 0.6, size * 0.6), fill=0)
    return ink


def on(ground: tuple[int, int, int], colour: tuple[int, int, int], ink: Image.Image) -> Image.Image:
    image = Image.new("RGB", ink.size, ground)
    image.paste(colour, (0, 0), ink)
    return image


def transparent(ink: Image.Image) -> Image.Image:
    image = Image.new("RGBA", ink.size, (200, 30, 30, 0))
    image.putalpha(ink)
    return image


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(on((255, 255, 255), (0, 0, 0), ring()), id="black on white"),
        pytest.param(on((10, 10, 40), (250, 220, 40), ring()), id="yellow on navy"),
        pytest.param(on((255, 255, 255), (190, 190, 200), ring()), id="faint"),
        pytest.param(on((255, 255, 255), (0, 0, 0), ring(1200)), id="large"),
    ],
)
def test_the_shape_is_the_same_whatever_it_is_drawn_on(image: Image.Image) -> None:
    """Opaque or transparent, dark or light: the ink is what is not background."""
    shape = read_mark("b", "r", png(image)).shape
    expected = read_mark("b", "r", png(transparent(ring()))).shape
    assert shape.shape == (SIDE, SIDE)
    assert float(np.abs(shape - expected).mean()) < 0.03


def test_the_shape_fills_its_share_of_the_view() -> None:
    """However much margin the file has."""
    wide = Image.new("L", (400, 300))
    ImageDraw.Draw(wide).polygon([(300, 250), (340, 230), (380, 250), (340, 270)], fill=255)
    shown = np.argwhere(read_mark("b", "r", png(transparent(wide))).shape > 0.5)
    assert np.ptp(shown[:, 1]) + 1 == pytest.approx(SIDE * FILLED, abs=2.5)
    assert shown.mean(axis=0) == pytest.approx([SIDE / 2 - 0.5] * 2, abs=1)


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8))


def bar() -> Image.Image:
    ink = Image.new("L", (400, 400))
    ImageDraw.Draw(ink).rectangle((20, 196, 380, 204), fill=255)
    return ink


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(lambda: b"\x89PNG", "no PNG", id="cut off"),
        pytest.param(lambda: b"GIF89a", "no PNG", id="another kind"),
        pytest.param(lambda: png(ring(256))[:-40], "no PNG", id="damaged"),
        pytest.param(lambda: png(ring(16)), "at least 24", id="too small"),
        pytest.param(lambda: png(Image.new("L", (5000, 30))), "4096", id="too large"),
        pytest.param(lambda: b"x" * (2 << 20), "at most 1048576", id="too many bytes"),
        pytest.param(lambda: png(noise()), "background is not plain", id="no plain background"),
        pytest.param(lambda: png(Image.new("RGB", (64, 64), (9, 9, 9))), "nothing stands out", id="blank"),
        pytest.param(lambda: png(Image.new("RGBA", (64, 64))), "nothing on it", id="all transparent"),
        pytest.param(
            lambda: png(on((255,) * 3, (0,) * 3, Image.new("L", (60, 60), 255)).crop((0, 0, 60, 60))),
            "nothing stands out",
            id="one colour",
        ),
        pytest.param(lambda: png(transparent(_square())), "plain rectangle", id="a rectangle"),
        pytest.param(lambda: png(transparent(bar())), "a line", id="a line"),
    ],
)
def test_what_has_no_shape_is_refused(content: Callable[[], bytes], why: str) -> None:
    """With the reason in words."""
    with pytest.raises(UnusableError, match=why):
        read_mark("b", "r", content())


def _square() -> Image.Image:
    ink = Image.new("L", (100, 100))
    ImageDraw.Draw(ink).rectangle((20, 30, 80, 70), fill=255)
    return ink
