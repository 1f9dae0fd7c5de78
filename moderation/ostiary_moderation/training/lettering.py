"""Fonts and blocks of text as transparent images."""

from __future__ import annotations

import math
import random
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def chinese_fonts() -> tuple[str, ...]:
    """Font files that hold Chinese, from the package of fonts. Raises ValueError where it is not
    installed.
    """
    spec = find_spec("pylopdf_fonts_zh_cn")
    if spec is None or spec.origin is None:
        raise ValueError("training draws Chinese text: pip install pylopdf-fonts-zh-cn")
    return tuple(str(path) for path in sorted(Path(spec.origin).parent.glob("*.otf")))


@cache
def _font(path: str, size: int) -> Font:
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


def pick_font(rng: random.Random, text: str, size: int) -> Font:
    """A font that has the text's letters: Pillow's own only where all of them are Latin."""
    paths = list(chinese_fonts())
    if text.isascii() and rng.random() < 0.5:
        paths = [""]
    return _font(rng.choice(paths), max(6, size))


def text_block(
    rng: random.Random, lines: list[str], size: int, colour: Colour, outline: bool = False
) -> Image.Image:
    """The lines one below another on transparency, RGBA; `size` is about the height of a line in pixels.

    Fat, narrow, wide and slanted now and then, to stand for the many fonts that there are.
    """
    text = "\n".join(lines)
    font = pick_font(rng, text, size)
    align = rng.choice(["left", "center"])
    fat = rng.random() < 0.25
    stroke = max(1, size // 12) if outline else size // 20 if fat else 0
    probe = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = probe.multiline_textbbox(
        (0, 0), text, font=font, align=align, stroke_width=stroke
    )
    block = Image.new("RGBA", (int(right - left) + 4, int(bottom - top) + 4))
    edge = tuple(255 - channel for channel in colour) if outline else colour
    ImageDraw.Draw(block).multiline_text(
        (2 - left, 2 - top), text, font=font, align=align, fill=colour, stroke_width=stroke, stroke_fill=edge
    )
    return _shaped(rng, block)


def _shaped(rng: random.Random, block: Image.Image) -> Image.Image:
    stretch, slant = math.exp(rng.gauss(0, 0.15)), rng.uniform(0.1, 0.3) if rng.random() < 0.15 else 0.0
    lean = slant * block.height
    size = (max(1, round((block.width + lean) * stretch)), block.height)
    data = (1 / stretch, slant, -lean, 0, 1, 0)
    return block.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)


def random_colour(rng: random.Random) -> Colour:
    """Black and white often, anything else sometimes."""
    plain: list[Colour] = [(255, 255, 255), (0, 0, 0), (220, 20, 30), (250, 210, 30)]
    anything = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    return rng.choice(plain) if rng.random() < 0.6 else anything


def contrasting(rng: random.Random, background: Colour) -> Colour:
    """A colour that can be read on the background."""
    for _ in range(20):
        colour = random_colour(rng)
        if abs(sum(colour) - sum(background)) > 260:
            return colour
    return (255, 255, 255) if sum(background) < 382 else (0, 0, 0)
