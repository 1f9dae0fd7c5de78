"""From an untrusted file to a canonical image, in this process."""

import hashlib
from dataclasses import astuple
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import get_sampling

from moderation.decode.pictures import (
    RED,
    animation,
    different_frames,
    noise,
    plain,
    png_header,
    quadrants,
    save,
)
from ostiary_moderation.decode.canonical import Wanted, canonicalise
from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.result import Canonical, Fault, FaultCode
from ostiary_moderation.views import PixelRange, ViewSpec, make_views

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
ROTATED = Image.Exif()
ROTATED[0x0112] = 6
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def decoded(data: bytes, limits: Limits | None = None) -> Canonical:
    """Canonicalise a file that must be readable."""
    outcome = canonicalise(data, limits)
    assert isinstance(outcome, Canonical), outcome
    return outcome


def pixel(image: Canonical, x: int, y: int, frame: int = 0) -> tuple[int, ...]:
    offset = 3 * (y * image.width + x)
    return tuple(image.frames[frame].rgb[offset : offset + 3])


def close(found: tuple[int, ...], wanted: tuple[int, ...], within: int = 6) -> bool:
    return all(abs(a - b) <= within for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_accepted_format_decodes(image_format: str) -> None:
    """Each format gives an image of the original size and colour, with the hashes of both files."""
    data = plain(image_format)
    image = decoded(data)
    assert (image.width, image.height, len(image.frames)) == (64, 48, 1)
    assert close(pixel(image, 10, 10), RED)
    assert image.raw_sha256 == hashlib.sha256(data).digest()
    assert image.sha256 == hashlib.sha256(image.file).digest()


@pytest.mark.parametrize("image_format", FORMATS)
def test_what_is_judged_is_what_is_published(image_format: str) -> None:
    """The pixels handed over are those that the canonical file decodes to, and it carries no metadata."""
    image = decoded(noise(image_format))
    with Image.open(BytesIO(image.file)) as published:
        assert Image.MIME[str(published.format)] == image.media_type
        assert published.convert("RGB").tobytes() == bytes(image.frames[0].rgb)
        assert not published.getexif()
        assert "icc_profile" not in published.info


COMMENTED = {
    "JPEG": plain("JPEG", comment=b"write to seller@example.com"),
    "large GIF": plain("GIF", (1200, 1000), comment=b"write to seller@example.com"),
    "small GIF": plain("GIF", comment=b"write to seller@example.com"),
    "TIFF": plain("TIFF", description="write to seller@example.com"),
    "WebP": plain("WEBP", xmp=b"write to seller@example.com"),
}


@pytest.mark.parametrize("data", COMMENTED.values(), ids=COMMENTED.keys())
def test_no_words_travel_along(data: bytes) -> None:
    """A comment in the original, which nobody looks at, is not published with the canonical file."""
    assert b"seller@example.com" in data
    assert b"seller@example.com" not in decoded(data).file


@pytest.mark.parametrize(
    ("image_format", "size", "media_type"),
    [
        ("JPEG", (64, 48), "image/jpeg"),
        ("WEBP", (64, 48), "image/jpeg"),
        ("PNG", (64, 48), "image/png"),
        ("GIF", (64, 48), "image/png"),
        ("PNG", (1200, 1000), "image/jpeg"),
    ],
)
def test_canonical_format(image_format: str, size: tuple[int, int], media_type: str) -> None:
    """Small images from exact formats stay exact; all others become JPEG."""
    assert decoded(plain(image_format, size)).media_type == media_type


@pytest.mark.parametrize(
    ("data", "halved"),
    [
        (plain("JPEG", subsampling="4:2:0"), True),
        (plain("JPEG", (48, 64), subsampling="4:2:0", exif=ROTATED.tobytes()), True),
        (plain("JPEG", subsampling="4:2:2"), False),
        (plain("JPEG", subsampling="4:4:4"), False),
        (plain("JPEG", (1600, 1280), subsampling="4:2:0"), False),
        (plain("WEBP"), False),
        (plain("PNG", (1700, 1200)), False),
    ],
    ids=["halved", "halved, turned", "rows kept", "whole", "halved, scaled down", "WebP", "large PNG"],
)
def test_no_colour_is_lost(data: bytes, halved: bool) -> None:
    """The canonical JPEG has as much colour as the original has: coloured print stays legible."""
    with Image.open(BytesIO(decoded(data, Limits(max_side=1500)).file)) as published:
        assert get_sampling(published) == (2 if halved else 0)


ODD = {
    "grey": (save(Image.new("L", (30, 20), 90), "PNG"), (90, 90, 90), None),
    "black and white": (save(Image.new("1", (30, 20), 1), "PNG"), (255, 255, 255), None),
    "grey with alpha": (save(Image.new("LA", (30, 20), (0, 0)), "PNG"), (255,) * 3, "alpha over white"),
    "half transparent": (save(Image.new("RGBA", (30, 20), (255, 0, 0, 128)), "PNG"), (255, 127, 127), None),
    "opaque alpha": (save(Image.new("RGBA", (30, 20), (*RED, 255)), "PNG"), RED, None),
    "transparent colour": (save(Image.new("RGB", (30, 20), RED), "PNG", transparency=RED), (255,) * 3, None),
    "transparent grey": (save(Image.new("L", (30, 20), 7), "PNG", transparency=7), (255,) * 3, None),
    "CMYK JPEG": (
        save(Image.new("CMYK", (30, 20), (0, 255, 255, 0)), "JPEG"), (254, 0, 0), "CMYK to sRGB",
    ),
    "16-bit PNG": (save(Image.new("I;16", (30, 20), 0x8000), "PNG"), (128,) * 3, "16 bit to 8 bit"),
    "16-bit white": (save(Image.new("I;16", (30, 20), 0xFFFF), "PNG"), (255,) * 3, None),
    "32-bit TIFF": (save(Image.new("F", (30, 20), 3.5), "TIFF"), (0, 0, 0), "32 bit scaled to 8 bit"),
    "LAB TIFF": (save(Image.new("LAB", (30, 20), (128, 128, 128)), "TIFF"), (119,) * 3, "LAB to sRGB"),
    "sRGB profile": (plain("JPEG", icc_profile=SRGB), RED, "colour profile applied"),
    "misfit profile": (plain("JPEG", icc_profile=LAB), RED, "unusable colour profile ignored"),
    "junk profile": (plain("JPEG", icc_profile=b"junk" * 50), RED, "unusable colour profile ignored"),
    "broken EXIF": (plain("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"), RED, None),
    "one pixel": (plain("PNG", (1, 1)), RED, None),
}  # fmt: skip


@pytest.mark.parametrize(("data", "colour", "note"), ODD.values(), ids=ODD.keys())
def test_odd_images_become_srgb(data: bytes, colour: tuple[int, ...], note: str | None) -> None:
    """Every colour model, depth and kind of transparency ends as opaque 8-bit sRGB, and is noted."""
    image = decoded(data)
    assert close(pixel(image, 0, 0), colour)
    assert note is None or note in image.notes


@pytest.mark.parametrize("size", [(64, 48), (400, 533), (90, 1000)], ids=str)
def test_views_are_those_that_the_model_makes(size: tuple[int, int]) -> None:
    """What the worker resizes equals, to the byte, what the engine's own function makes of the pixels."""
    spec = ViewSpec(32, PixelRange(64 * 64, 128 * 128), PixelRange(128 * 128, 256 * 256))
    image = canonicalise(noise("PNG", size), wanted=Wanted(views=spec))
    assert isinstance(image, Canonical)
    pixels = np.frombuffer(image.frames[0].rgb, np.uint8).reshape(image.height, image.width, 3)
    expected = [view for view in astuple(make_views(pixels, spec)) if view is not None]
    assert [view.shape[:2] for view in expected] == list(image.view_sizes)
    assert [view.tobytes() for view in expected] == list(image.frames[0].views)


def test_wide_gamut_is_converted() -> None:
    """A colour profile changes the pixels: a profile whose primaries are swapped turns red into green."""
    profile = bytearray(SRGB)
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    red_channel, _, _ = pixel(decoded(plain("PNG", icc_profile=bytes(profile))), 0, 0)
    assert red_channel < 100


@pytest.mark.parametrize(
    ("orientation", "corners"),
    [
        (1, ("red", "green", "blue")), (2, ("green", "red", "white")), (3, ("white", "blue", "green")),
        (4, ("blue", "white", "red")), (5, ("red", "blue", "green")), (6, ("blue", "red", "white")),
        (7, ("white", "green", "blue")), (8, ("green", "white", "red")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied(
    image_format: str, orientation: int, corners: tuple[str, str, str]
) -> None:
    """The canonical image is upright; the corners are top left, top right and bottom left."""
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decoded(save(quadrants(), image_format, exif=exif))
    assert (image.width, image.height) == ((64, 48) if orientation < 5 else (48, 64))
    places = [(2, 2), (image.width - 3, 2), (2, image.height - 3)]
    for place, name in zip(places, corners, strict=True):
        assert close(pixel(image, *place), colours[name], 30), name


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP"])
def test_trailing_data_is_dropped_and_noted(image_format: str) -> None:
    """An archive behind the image reaches no decoder and not the canonical file."""
    clean, smuggled = plain(image_format), plain(image_format) + b"PK\x03\x04" + b"secret" * 20
    image = decoded(smuggled)
    assert "trailing data dropped (124 bytes)" in image.notes
    assert image.file == decoded(clean).file


def test_previews_of_a_phone_are_dropped() -> None:
    """A JPEG with further pictures behind it counts as its first picture."""
    image = decoded(animation("MPO", different_frames(3)))
    assert len(image.frames) == 1
    assert any(note.startswith("trailing data dropped") for note in image.notes)


def test_large_images_are_scaled_by_area() -> None:
    """Stripes of one pixel, which a nearest filter would turn black or white, become their mean."""
    stripes = Image.new("L", (512, 8), 0)
    for x in range(0, 512, 2):
        stripes.paste(255, (x, 0, x + 1, 8))
    image = decoded(save(stripes, "PNG"), Limits(max_side=128))
    assert (image.width, image.height) == (128, 2)
    assert close(pixel(image, 60, 1), (128, 128, 128), 2)
    assert "scaled down from 512x8" in image.notes


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_animations_are_judged_at_four_frames(image_format: str) -> None:
    """The first frame is kept; last, longest shown and most different are judged beside it."""
    frames = [Image.new("RGB", (64, 48), (index * 20, 0, 0)) for index in range(8)]
    frames[2] = Image.new("RGB", (64, 48), (0, 255, 255))
    durations = [100, 100, 100, 100, 900, 100, 100, 100]
    image = decoded(animation(image_format, frames, duration=durations, lossless=True))
    assert [frame.index for frame in image.frames] == [0, 2, 4, 7]
    assert close(pixel(image, 5, 5, frame=1), (0, 255, 255))
    assert "8 frames: first one kept, judged 0, 2, 4, 7" in image.notes


def test_pages_of_another_size_are_fitted() -> None:
    """Pages of a TIFF that differ in size are judged in the first one's, so that boxes mean the same."""
    pages = [Image.new("RGB", (64, 48), RED), Image.new("RGB", (20, 100), "blue")]
    image = decoded(animation("TIFF", pages))
    assert [len(frame.rgb) for frame in image.frames] == [64 * 48 * 3] * 2


SMALL = Limits(max_bytes=10_000, max_pixels=10_000, max_frames=5)
HOSTILE = {
    "nothing": (b"", None, FaultCode.EMPTY),
    "text": (b"hello, world", None, FaultCode.UNSUPPORTED_FORMAT),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None, FaultCode.UNSUPPORTED_FORMAT),
    "icon": (plain("ICO"), None, FaultCode.UNSUPPORTED_FORMAT),
    "JPEG 2000": (plain("JPEG2000"), None, FaultCode.UNSUPPORTED_FORMAT),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", None, FaultCode.UNSUPPORTED_FORMAT),
    "only a signature": (b"\x89PNG\r\n\x1a\n", None, FaultCode.UNREADABLE),
    "not really a bitmap": (b"BM, the company", None, FaultCode.UNREADABLE),
    **{f"truncated {name}": (noise(name)[:3000], None, FaultCode.UNREADABLE) for name in FORMATS},
    "frames missing": (
        (cut := animation("PNG", different_frames(6)))[:-400] + cut[-12:], None, FaultCode.UNREADABLE,
    ),
    "bomb": (png_header(60_000, 60_000), None, FaultCode.TOO_LARGE),
    "51 megapixels": (png_header(8500, 6000), None, FaultCode.TOO_LARGE),
    "no pixels in a claimed header": (png_header(100, 100), None, FaultCode.UNREADABLE),
    "strip": (plain("PNG", (2020, 20)), None, FaultCode.UNREADABLE),
    "61 frames GIF": (animation("GIF", different_frames(61)), None, FaultCode.TOO_LARGE),
    "61 frames WebP": (animation("WEBP", different_frames(61)), None, FaultCode.TOO_LARGE),
    "61 pages": (animation("TIFF", different_frames(61)), None, FaultCode.TOO_LARGE),
    "pixels over all frames": (
        animation("GIF", [frame.resize((60, 60)) for frame in different_frames(4)]),
        SMALL, FaultCode.TOO_LARGE,
    ),
    "too many bytes": (noise("PNG"), SMALL, FaultCode.TOO_LARGE),
}  # fmt: skip


@pytest.mark.parametrize(("data", "limits", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_faults(data: bytes, limits: Limits | None, code: FaultCode) -> None:
    """What cannot or must not be decoded is a fault with a code and words, never an exception."""
    outcome = canonicalise(data, limits)
    assert isinstance(outcome, Fault)
    assert outcome.code is code
    assert outcome.detail.isprintable()
    assert " at 0x" not in outcome.detail


def test_sixty_frames_are_accepted() -> None:
    """The limit on frames is the last number allowed."""
    assert len(decoded(animation("GIF", different_frames(60))).frames) >= 2


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=300))
def test_random_bytes_never_raise(data: bytes) -> None:
    """Whatever the bytes, there is an answer."""
    assert isinstance(canonicalise(data), Canonical | Fault)


@settings(deadline=None)  # the machine may be busy
@given(
    st.sampled_from([plain(name) for name in FORMATS]),
    st.integers(0, 1 << 20),
    st.binary(min_size=1, max_size=12),
)
def test_damaged_files_never_raise(data: bytes, place: int, damage: bytes) -> None:
    """Overwriting a part of a real file gives an image within the limits or a fault."""
    place %= len(data)
    outcome = canonicalise(data[:place] + damage + data[place + len(damage) :], Limits(max_pixels=1_000_000))
    if isinstance(outcome, Canonical):
        assert len(outcome.frames[0].rgb) == outcome.width * outcome.height * 3
