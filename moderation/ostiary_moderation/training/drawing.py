"""What is drawn over photographs: codes, banners, prints on garments, and patterns that only look like
codes.
"""

from __future__ import annotations

import io
import random

import numpy as np
import segno
from PIL import Image, ImageDraw

from ostiary_moderation.training import wording
from ostiary_moderation.training.lettering import Colour, contrasting, random_colour, text_block


def qr_code(rng: random.Random) -> Image.Image:
    """A QR code that scans, with quiet zone, in RGBA: any version, any dark colour, sometimes on a
    captioned card.
    """
    payload = rng.choice([wording.site, wording.phone, wording.handle])(rng) * rng.choice([1, 1, 2, 5])
    code = segno.make(payload, error=rng.choice("lmqh"), micro=False)
    dark = (0, 0, 0) if rng.random() < 0.7 else tuple(rng.randrange(90) for _ in range(3))
    light = (255, 255, 255) if rng.random() < 0.8 else tuple(rng.randrange(200, 256) for _ in range(3))
    stream = io.BytesIO()
    code.save(stream, kind="png", scale=6, border=rng.choice([1, 2, 4]), dark=dark, light=light)
    image = Image.open(stream).convert("RGBA")
    if rng.random() < 0.2:
        _centre_badge(rng, image)
    return _card(rng, image) if rng.random() < 0.25 else image


def lookalike(rng: random.Random) -> Image.Image:
    """A regular black-and-white pattern that is no QR code: chequers, stripes, noise, a linear barcode, a
    grid.
    """
    kind = rng.choice(["chequer", "bars", "noise", "grid", "crossword", "dots"])
    cells = rng.randint(8, 32)
    rows, columns = np.mgrid[0:cells, 0:cells]
    noise = np.random.default_rng(rng.getrandbits(32)).random((cells, cells))
    pattern = {
        "chequer": (rows + columns) % 2,
        "bars": (noise[:1] > 0.5).repeat(cells, axis=0),
        "noise": noise > 0.5,
        "grid": (rows % 3 == 0) | (columns % 3 == 0),
        "crossword": noise > 0.75,
        "dots": (rows % 2) & (columns % 2),
    }[kind].astype(bool)
    dark: tuple[int, ...] = (0, 0, 0)
    light: tuple[int, ...] = (255, 255, 255)
    if rng.random() < 0.5:
        dark, light = (
            tuple(rng.randrange(110) for _ in range(3)),
            tuple(rng.randrange(150, 256) for _ in range(3)),
        )
    picked = np.where(pattern[..., None], np.array(dark, np.uint8), np.array(light, np.uint8))
    image = (
        Image.fromarray(picked.astype(np.uint8))
        .resize((cells * 6, cells * 6), Image.Resampling.NEAREST)
        .convert("RGBA")
    )
    border = rng.choice([0, 6, 18])
    card = Image.new("RGBA", (image.width + 2 * border, image.height + 2 * border), (*light, 255))
    card.paste(image, (border, border))
    return card


def banner(rng: random.Random, lines: list[str], size: int) -> Image.Image:
    """Lines on a plate, bare, or outlined; opaque or half transparent. `size` is the height of a line in
    pixels.
    """
    plate = random_colour(rng)
    style = rng.choice(["plate", "plate", "glass", "bare", "outlined"])
    colour = contrasting(rng, plate) if style in ("plate", "glass") else random_colour(rng)
    text = text_block(rng, lines, size, colour, outline=style == "outlined")
    if style in ("bare", "outlined"):
        return text
    pad = rng.randint(size // 4, size)
    image = Image.new("RGBA", (text.width + 2 * pad, text.height + pad))
    alpha = 255 if style == "plate" else rng.randint(90, 190)
    radius = rng.choice([0, 0, size // 2])
    ImageDraw.Draw(image).rounded_rectangle(
        (0, 0, image.width - 1, image.height - 1), radius, (*plate, alpha)
    )
    image.alpha_composite(text, (pad, pad // 2))
    return image


def garment_print(rng: random.Random, size: int) -> Image.Image:
    """A slogan as cloth shows it: softened by the weave, a little transparent. `size`: line height in
    pixels.
    """
    text = text_block(rng, wording.garment_lines(rng), size, random_colour(rng))
    alpha = text.getchannel("A").point(lambda value: int(value * rng.uniform(0.65, 0.95)))
    text.putalpha(alpha)
    return text


def _centre_badge(rng: random.Random, image: Image.Image) -> None:
    side = image.width // 5
    start = (image.width - side) // 2
    fill = (*random_colour(rng), 255)
    ImageDraw.Draw(image).rounded_rectangle(
        (start, start, start + side, start + side), side // 5, fill, "white", 3
    )


def _card(rng: random.Random, code: Image.Image) -> Image.Image:
    plate: Colour = random_colour(rng) if rng.random() < 0.5 else (255, 255, 255)
    margin = code.width // 10
    caption = text_block(
        rng, [rng.choice(["扫码加好友", "Scan me", "扫一扫", "Scan"])], margin, contrasting(rng, plate)
    )
    width = max(code.width, caption.width) + 2 * margin
    card = Image.new("RGBA", (width, code.height + caption.height + 3 * margin), (*plate, 255))
    card.alpha_composite(code, ((width - code.width) // 2, margin))
    card.alpha_composite(caption, ((width - caption.width) // 2, code.height + 2 * margin))
    return card
