"""Lays a mark over a photograph as if it were printed there: turned, seen from the side, shaded, blurred."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Laid:
    """Where a mark came to lie. `box`: left, top, right, bottom. `contrast`: in levels of 255, how far its
    lightness or its colour is from the ground's. `ink`: how much of each pixel of the image it covers.
    """

    box: tuple[float, float, float, float]
    contrast: float
    ink: Floats


@dataclass(frozen=True)
class Turn:
    """How a mark is turned. `angle`: degrees. `pull`: how far corners move, as a share of its size.
    `stretch`: of its width.
    """

    angle: float
    pull: float
    stretch: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, angle: float = 20.0) -> Turn:
        """Within ±`angle`, a third of them seen from the side."""
        pull = rng.uniform(0.03, 0.12) if rng.random() < 0.5 else 0.0
        return cls(rng.uniform(-angle, angle), pull, math.exp(rng.normal(0, 0.06)))


def turned(rng: np.random.Generator, ink: Pixels, side: float, turn: Turn) -> Floats | None:
    """The ink, its longer side about `side` pixels, turned and cut out; 0 to 1. None where none is left."""
    whole = max(4, round(side))
    flat = Image.fromarray(ink).resize((whole, whole), Image.Resampling.BILINEAR, reducing_gap=2.0)
    room = round(whole * 1.6)
    shown = flat.transform(
        (room, room),
        Image.Transform.PERSPECTIVE,
        _coefficients(rng, whole, room, turn),
        Image.Resampling.BILINEAR,
    )
    box = shown.point(lambda value: 255 if value > 60 else 0).getbbox()
    if box is None:
        return None
    return np.asarray(shown.crop(box), np.float32) / 255.0


def lay(rng: np.random.Generator, image: Pixels, ink: Floats, left: int, top: int, brand: Pixels) -> Laid:
    """Print the ink onto the image, in place, its upper left corner there. May stand over the edges."""
    height, width = image.shape[:2]
    rows = slice(max(top, 0), min(top + ink.shape[0], height))
    columns = slice(max(left, 0), min(left + ink.shape[1], width))
    part = ink[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    under = image[rows, columns].astype(np.float32)
    mean = under.reshape(-1, 3).mean(axis=0)
    colour = _colour(rng, mean, brand)
    print_ = np.broadcast_to(colour, under.shape).copy()
    if rng.random() < 0.2:
        _two_coloured(rng, print_, mean, brand)
    light = under @ _LUMA
    shade = ((light + 8.0) / (light.mean() + 8.0)) ** rng.uniform(0.0, 1.0)
    print_ *= np.clip(shade, 0.4, 1.8)[..., None]
    alpha = (part * rng.uniform(0.75, 1.0))[..., None]
    image[rows, columns] = np.clip(under + alpha * (print_ - under), 0, 255).astype(np.uint8)
    covered = np.zeros((height, width), np.float32)
    covered[rows, columns] = part
    box = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
    return Laid(box, float(np.abs(colour - mean).max()), covered)


def spoilt(rng: np.random.Generator, image: Pixels) -> Pixels:
    """The image a little blurred or noisy, and saved as JPEG."""
    picture = Image.fromarray(image)
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.1)))
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(2, 8), image.shape)
        picture = Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=int(rng.integers(60, 96)))
    return np.asarray(Image.open(stream))


def _coefficients(rng: np.random.Generator, side: int, room: int, turn: Turn) -> list[float]:
    """Of the perspective that takes a square in the middle of `room`, turned, to a square of `side`."""
    half = side / 2
    corners = np.array([(-half, -half), (half, -half), (half, half), (-half, half)])
    to = corners * (turn.stretch, 1.0)
    angle = math.radians(turn.angle)
    spin = np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    to = to @ spin + rng.uniform(-turn.pull, turn.pull, (4, 2)) * side + room / 2
    rows, values = [], []
    for (x, y), (u, v) in zip(to, corners + half, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        values += [u, v]
    return [float(one) for one in np.linalg.solve(np.array(rows), np.array(values))]


def _colour(rng: np.random.Generator, ground: Floats, brand: Pixels, least: float = 24.0) -> Floats:
    """Black or white often, the brand's own, or any; not the ground's."""
    for _ in range(12):
        way = rng.random()
        if way < 0.45:
            colour = np.full(3, 255.0 if rng.random() < 0.5 else rng.uniform(0, 40), np.float32)
        elif way < 0.75:
            colour = brand.astype(np.float32)
        else:
            colour = rng.uniform(0, 255, 3).astype(np.float32)
        if np.abs(colour - ground).max() > least:
            return colour
    return np.full(3, 255.0 if ground.mean() < 128 else 0.0, np.float32)


def _two_coloured(rng: np.random.Generator, print_: Floats, ground: Floats, brand: Pixels) -> None:
    """A second colour beyond a line through the print, in place."""
    height, width = print_.shape[:2]
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:height, 0:width]
    across = (x - width * rng.uniform(0.3, 0.7)) * math.cos(angle) + (
        y - height * rng.uniform(0.3, 0.7)
    ) * math.sin(angle)
    print_[across > 0] = _colour(rng, ground, brand)
