"""Texts and codes over photographs, as sellers lay them: tilted, seen from the side, saved as JPEG again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ostiary_moderation.training.lettering import chinese_fonts

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

LEAST_LETTERS = 14
"""Pixels: the height of a capital, or of a Chinese character."""
_MOST_LETTERS = 48
_TILT = 15
_PULL = 0.08
_QUALITY = (60, 95)
_LATIN = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSans-Oblique.ttf",
)
_STYLES = ("plate", "plate", "glass", "outlined", "bare")


@dataclass(frozen=True)
class Look:
    """How it was drawn. `letters`: height in pixels. `tilt`: in degrees. `pulled`: seen from the side."""

    letters: int
    font: str
    style: str
    tilt: float
    pulled: bool
    quality: int


def fonts(text: str) -> tuple[str, ...]:
    """Font files that have the text's letters; the empty name is Pillow's own font."""
    chinese = chinese_fonts()
    return (*chinese, "", *_installed()) if _is_latin(text) else chinese


def text_over(
    source: random.Random, photograph: Image.Image, lines: Sequence[str]
) -> tuple[Image.Image, Look]:
    """The photograph with the lines over it, wholly inside, and how they were drawn.

    Lines too long for the photograph are drawn smaller, but not below 14 pixels, then broken; where one word
    is too long by itself, the photograph is enlarged.
    """
    font = source.choice(fonts("".join(lines)))
    style = source.choice(_STYLES)
    tilt = source.uniform(-_TILT, _TILT) if source.random() < 0.6 else 0.0
    pull = _PULL if source.random() < 0.35 else 0.0
    # What is pulled in becomes smaller: it is drawn larger by as much.
    least = LEAST_LETTERS / (1 - 2 * pull)
    letters = least * (_MOST_LETTERS / least) ** source.random()
    colours = _colours(source)
    plate = _fitted(lines, font, letters, least, style, colours, _room(photograph), tilt)
    while plate is None:
        size = (round(photograph.width * 1.25), round(photograph.height * 1.25))
        photograph = photograph.resize(size, Image.Resampling.BICUBIC)
        plate = _fitted(lines, font, letters, least, style, colours, _room(photograph), tilt)
    overlay = _turned(source, plate.image, tilt, pull)
    where = _place(source, photograph.size, overlay.size)
    result = photograph.copy()
    if style == "bare":
        overlay = _recoloured(
            overlay, result.crop((*where, where[0] + overlay.width, where[1] + overlay.height))
        )
    result.paste(overlay, where, overlay)
    look = Look(
        round(plate.letters * (1 - 2 * pull)),
        Path(font).stem or "Pillow",
        style,
        tilt,
        pull > 0,
        _jpeg(source),
    )
    return result, look


def code_over(
    source: random.Random, photograph: Image.Image, code: Image.Image, side: int, quiet: float
) -> tuple[Image.Image, Look]:
    """The photograph with a code over it. `side`: of the code's width without its margin, in pixels.
    `quiet`: the margin's share of that on each side."""
    scale = side * (1 + 2 * quiet) / code.width
    size = (max(1, round(code.width * scale)), max(1, round(code.height * scale)))
    card = code.convert("RGBA").resize(size, Image.Resampling.LANCZOS)
    tilt = source.uniform(-_TILT, _TILT) if source.random() < 0.6 else 0.0
    pull = _PULL / 2 if source.random() < 0.35 else 0.0
    overlay = _turned(source, card, tilt, pull)
    result = photograph.copy()
    result.paste(overlay, _place(source, photograph.size, overlay.size), overlay)
    return result, Look(side, "", "code", tilt, pull > 0, _jpeg(source))


def resized(source: random.Random, photograph: Image.Image) -> Image.Image:
    """At the photograph's own size, or as the larger file that a seller might have sent."""
    scale = source.choice([1.0, 1.5, 2.0])
    size = (round(photograph.width * scale), round(photograph.height * scale))
    return photograph.resize(size, Image.Resampling.BICUBIC) if scale > 1 else photograph


def saved(image: Image.Image, quality: int) -> NDArray[np.uint8]:
    """Pixels (height × width × 3) after saving as JPEG and reading again."""
    stream = BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def wrapped(line: str, most: int) -> list[str]:
    """The line in pieces of at most `most` characters where words allow it; Chinese breaks anywhere."""
    words = line.split(" ") if _is_latin(line) else list(line)
    gap = " " if _is_latin(line) else ""
    pieces = [words[0]]
    for word in words[1:]:
        longer = pieces[-1] + gap + word
        if len(longer) <= most:
            pieces[-1] = longer
        else:
            pieces.append(word)
    return [piece.strip() for piece in pieces if piece.strip()]


@dataclass(frozen=True)
class _Plate:
    image: Image.Image
    letters: float


def _fitted(
    lines: Sequence[str],
    font: str,
    letters: float,
    least: float,
    style: str,
    colours: tuple[Colour, Colour],
    room: tuple[float, float],
    tilt: float,
) -> _Plate | None:
    """The lines on a plate that fits into the room when turned by `tilt`; None where a word does not."""
    while True:
        image = _plate(lines, font, letters, style, colours)
        width, height = image.rotate(tilt, expand=True).size
        share = min(room[0] / width, room[1] / height)
        if share >= 1:
            return _Plate(image, letters)
        if letters > least:
            letters = max(least, letters * share * 0.98)
            continue
        longest = max(map(len, lines))
        shorter = [piece for line in lines for piece in wrapped(line, max(4, longest * 2 // 3))]
        if shorter == list(lines):
            return None
        lines = shorter


def _room(photograph: Image.Image) -> tuple[float, float]:
    return 0.94 * photograph.width, 0.9 * photograph.height


def _plate(
    lines: Sequence[str], font: str, letters: float, style: str, colours: tuple[Colour, Colour]
) -> Image.Image:
    text = "\n".join(lines)
    face = _face(font, _size_for(font, letters, _is_latin(text)))
    ink, ground = colours
    stroke = max(1, round(letters / 12)) if style == "outlined" else 0
    probe = ImageDraw.Draw(Image.new("L", (1, 1)))
    spacing = letters * 0.35
    left, top, right, bottom = probe.multiline_textbbox(
        (0, 0), text, font=face, spacing=spacing, stroke_width=stroke
    )
    pad = round(letters * 0.45)
    size = (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad)
    alpha = {"plate": 255, "glass": 170}.get(style, 0)
    image = Image.new("RGBA", size, (*ground, alpha))
    ImageDraw.Draw(image).multiline_text(
        (pad - left, pad - top),
        text,
        font=face,
        fill=ink,
        spacing=spacing,
        stroke_width=stroke,
        stroke_fill=ground,
    )
    return image


def _turned(source: random.Random, image: Image.Image, tilt: float, pull: float) -> Image.Image:
    if pull:
        image = _pulled(image, [source.uniform(0, pull) for _ in range(8)])
    return image.rotate(tilt, expand=True, resample=Image.Resampling.BICUBIC) if tilt else image


def _pulled(image: Image.Image, shares: Sequence[float]) -> Image.Image:
    """Seen from the side: each corner pulled inwards by its two shares of width and height."""
    width, height = image.size
    x, y = [share * width for share in shares[::2]], [share * height for share in shares[1::2]]
    seen = [(x[0], y[0]), (width - x[1], y[1]), (width - x[2], height - y[2]), (x[3], height - y[3])]
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    rows: list[list[float]] = []
    for (a, b), (u, v) in zip(seen, corners, strict=True):
        rows += [[a, b, 1, 0, 0, 0, -u * a, -u * b], [0, 0, 0, a, b, 1, -v * a, -v * b]]
    known = np.array([value for corner in corners for value in corner], dtype=np.float64)
    data = np.linalg.solve(np.array(rows, dtype=np.float64), known)
    return image.transform(image.size, Image.Transform.PERSPECTIVE, data.tolist(), Image.Resampling.BICUBIC)


def _place(source: random.Random, outer: tuple[int, int], inner: tuple[int, int]) -> tuple[int, int]:
    x, y = (source.randint(0, max(0, whole - part)) for whole, part in zip(outer, inner, strict=True))
    return x, y


def _recoloured(overlay: Image.Image, below: Image.Image) -> Image.Image:
    """Ink in black or white, whichever stands out against what is below: others could not read it either."""
    mean = np.asarray(below.convert("L")).mean()
    ink = Image.new("RGBA", overlay.size, (0, 0, 0) if mean > 127 else (255, 255, 255))
    ink.putalpha(overlay.getchannel("A"))
    return ink


def _colours(source: random.Random) -> tuple[Colour, Colour]:
    """Ink and ground that can be told apart."""
    dark: Colour = source.choice([(0, 0, 0), (20, 30, 90), (120, 10, 20), (10, 80, 40), (60, 60, 60)])
    light: Colour = source.choice([(255, 255, 255), (250, 225, 60), (245, 215, 225), (220, 240, 250)])
    return (dark, light) if source.random() < 0.5 else (light, dark)


def _jpeg(source: random.Random) -> int:
    return source.randint(*_QUALITY)


def _is_latin(text: str) -> bool:
    return all(ord(letter) < 0x2000 for letter in text)


@cache
def _face(font: str, size: int) -> Font:
    return ImageFont.truetype(font, size) if font else ImageFont.load_default(size)


@cache
def _height(font: str, latin: bool) -> float:
    """Height of a capital or a Chinese character, as a share of the font's size."""
    _, top, _, bottom = _face(font, 200).getbbox("H" if latin else "国")
    return (bottom - top) / 200


def _size_for(font: str, letters: float, latin: bool) -> int:
    return max(6, round(letters / _height(font, latin)))


@cache
def _installed() -> tuple[str, ...]:
    """Fonts of the system, where they are there: Pillow knows where each system keeps them."""
    found = []
    for name in _LATIN:
        try:
            ImageFont.truetype(name, 20)
        except OSError:
            continue
        found.append(name)
    return tuple(found)
