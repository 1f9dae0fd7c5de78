"""Products that are no clothes, drawn: asked what garment it sees, the model learns to answer `unknown`."""

from __future__ import annotations

import colorsys
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ostiary_moderation.bundle import UNKNOWN
from ostiary_moderation.training.lettering import Colour
from ostiary_moderation.training.photos import Photo

# Hue in degrees, saturation and value in percent, each a range.
_SHADES: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "black": ((0, 360), (0, 25), (4, 18)), "white": ((0, 360), (0, 6), (88, 98)),
    "grey": ((0, 360), (0, 8), (35, 70)), "red": ((-8, 8), (70, 95), (55, 90)),
    "orange": ((18, 32), (75, 95), (80, 98)), "yellow": ((46, 58), (65, 95), (80, 98)),
    "green": ((90, 150), (40, 85), (30, 75)), "blue": ((200, 235), (45, 90), (35, 85)),
    "purple": ((265, 290), (35, 75), (35, 75)), "pink": ((325, 350), (25, 60), (80, 98)),
    "brown": ((18, 30), (50, 75), (25, 50)), "beige": ((32, 45), (15, 30), (75, 90)),
}  # fmt: skip
_SIDE = 480  # pixels of the square that a product is drawn in
_NOWHERE = Path()
Draw = Callable[[ImageDraw.ImageDraw, random.Random, Colour, Colour], None]


def draw_product(rng: random.Random, size: tuple[int, int]) -> tuple[Photo, Image.Image]:
    """One product on a table, and what is true of it: its colour. `size`: width and height in pixels."""
    colour = rng.choice(list(_SHADES))
    body = shade(rng, colour)
    accent = shade(rng, rng.choice(["black", "white", "grey", "brown"]))
    stage = Image.new("RGBA", (_SIDE, _SIDE))
    rng.choice(_PRODUCTS)(ImageDraw.Draw(stage), rng, body, accent)
    product = _lit(rng, stage).rotate(rng.gauss(0, 8), resample=Image.Resampling.BICUBIC)
    image = _room(rng, size)
    side = int(min(size) * rng.uniform(0.6, 0.98))
    product = product.resize((side, side), Image.Resampling.BICUBIC)
    spot = [(size[axis] - side) // 2 + int(rng.gauss(0, 0.06) * size[axis]) for axis in range(2)]
    shadow = product.getchannel("A").point(lambda alpha: alpha // 3).filter(ImageFilter.GaussianBlur(8))
    image.paste((20, 18, 16), (spot[0] + side // 40, spot[1] + side // 30), shadow)
    image.paste(product, (spot[0], spot[1]), product)
    return Photo(_NOWHERE, UNKNOWN, colour, "plain", UNKNOWN, ""), _grained(rng, image)


def shade(rng: random.Random, colour: str) -> Colour:
    """A shade that goes by the name of the colour."""
    hue, saturation, value = (rng.uniform(*bounds) for bounds in _SHADES[colour])
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1, saturation / 100, value / 100)
    return round(255 * red), round(255 * green), round(255 * blue)


def _grained(rng: random.Random, image: Image.Image) -> Image.Image:
    """As a telephone's camera would have it."""
    noise = np.random.default_rng(rng.getrandbits(32))
    grain = noise.normal(0, rng.uniform(1, 5), (image.height, image.width, 1))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def _room(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """A wall and a table."""
    wall, table = (shade(rng, rng.choice(["white", "grey", "beige", "brown", "blue"])) for _ in range(2))
    image = Image.new("RGB", size, wall)
    if rng.random() < 0.7:
        image.paste(table, (0, int(size[1] * rng.uniform(0.3, 0.8)), *size))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 6)))


def _lit(rng: random.Random, stage: Image.Image) -> Image.Image:
    """Light from one side: a gradient over the product."""
    light = Image.linear_gradient("L").rotate(rng.choice([0, 90, 180, 270])).resize(stage.size)
    depth = rng.uniform(0.2, 0.6)
    dark = Image.new("RGBA", stage.size, (0, 0, 0, 0))
    dark.putalpha(light.point(lambda value: int(value * depth)))
    lit = Image.alpha_composite(stage, dark)
    lit.putalpha(stage.getchannel("A"))
    return lit


def _cup(draw: ImageDraw.ImageDraw, rng: random.Random, body: Colour, accent: Colour) -> None:
    width, height = rng.randint(170, 260), rng.randint(180, 300)
    left, top = 80, 420 - height
    draw.arc((left + width - 50, top + 40, left + width + 90, top + height - 40), -95, 95, body, 26)
    draw.rectangle((left, top, left + width, 400), body)
    draw.ellipse((left, 375, left + width, 435), body)
    draw.ellipse((left, top - 30, left + width, top + 30), body, accent, 5)
    draw.ellipse((left + 14, top - 20, left + width - 14, top + 22), accent)


def _bottle(draw: ImageDraw.ImageDraw, rng: random.Random, body: Colour, accent: Colour) -> None:
    half, neck, shoulder = rng.randint(55, 95), rng.randint(18, 40), rng.randint(120, 190)
    draw.rounded_rectangle((240 - half, shoulder, 240 + half, 465), 24, body)
    draw.polygon(
        [(240 - half, shoulder + 30), (240 - neck, 90), (240 + neck, 90), (240 + half, shoulder + 30)], body
    )
    draw.rectangle((240 - neck - 6, 30, 240 + neck + 6, 95), accent)
    draw.rectangle((240 - half, 250, 240 + half, rng.randint(320, 400)), accent)


def _telephone(draw: ImageDraw.ImageDraw, rng: random.Random, body: Colour, accent: Colour) -> None:
    half = rng.randint(90, 130)
    draw.rounded_rectangle((240 - half, 20, 240 + half, 460), 34, body)
    if rng.random() < 0.5:
        draw.rounded_rectangle((240 - half + 14, 50, 240 + half - 14, 430), 14, accent)
    for row in range(rng.randint(1, 3)):
        draw.ellipse((240 - half + 24, 40 + 50 * row, 240 - half + 64, 80 + 50 * row), accent)


def _book(draw: ImageDraw.ImageDraw, rng: random.Random, body: Colour, accent: Colour) -> None:
    half, back = rng.randint(120, 180), rng.randint(20, 45)
    draw.rectangle((240 - half, 40, 240 + half + 14, 450), (235, 232, 222))
    draw.rectangle((240 - half, 30, 240 + half, 440), body)
    draw.rectangle((240 - half, 30, 240 - half + back, 440), accent)
    for row in range(rng.randint(1, 3)):
        draw.rectangle(
            (260 - half + back, 110 + 50 * row, 200 + half - rng.randint(0, 90), 128 + 50 * row), accent
        )


def _ball(draw: ImageDraw.ImageDraw, rng: random.Random, body: Colour, accent: Colour) -> None:
    radius = rng.randint(130, 215)
    box = (240 - radius, 240 - radius, 240 + radius, 240 + radius)
    draw.ellipse(box, body)
    for _ in range(rng.randint(1, 3)):
        bulge = int(radius * rng.uniform(0.1, 0.8))
        start = rng.choice([90, 270])
        draw.arc((240 - bulge, box[1], 240 + bulge, box[3]), start, start + 180, accent, 7)


def _parcel(draw: ImageDraw.ImageDraw, rng: random.Random, body: Colour, accent: Colour) -> None:
    rise, depth = rng.randint(50, 110), rng.randint(60, 130)
    dark = (body[0] * 3 // 4, body[1] * 3 // 4, body[2] * 3 // 4)
    draw.polygon([(40, 180), (320, 180), (320, 440), (40, 440)], body)
    draw.polygon([(320, 180), (320 + depth, 180 - rise), (320 + depth, 440 - rise), (320, 440)], dark)
    draw.polygon([(40, 180), (40 + depth, 180 - rise), (320 + depth, 180 - rise), (320, 180)], dark)
    draw.rectangle((160, 180, 200, 440), accent)


def _lamp(draw: ImageDraw.ImageDraw, rng: random.Random, body: Colour, accent: Colour) -> None:
    top, foot = rng.randint(50, 100), rng.randint(70, 130)
    draw.rectangle((232, 200, 248, 440), accent)
    draw.ellipse((240 - foot, 420, 240 + foot, 465), accent)
    draw.polygon([(240 - top, 40), (240 + top, 40), (420, 240), (60, 240)], body)


def _chair(draw: ImageDraw.ImageDraw, rng: random.Random, body: Colour, accent: Colour) -> None:
    back = rng.randint(20, 90)
    for left in (100, 360):
        draw.rectangle((left, 250, left + 18, 465), accent)
    draw.rounded_rectangle((90, back, 390, back + rng.randint(120, 200)), 20, body)
    draw.rounded_rectangle((80, 250, 400, 300), 12, body)
    draw.rectangle((110, back, 124, 260), accent)
    draw.rectangle((356, back, 370, 260), accent)


_PRODUCTS: Sequence[Draw] = (_cup, _bottle, _telephone, _book, _ball, _parcel, _lamp, _chair)
