"""Close-ups of one mark, as the detector cuts them out around a place: somewhat off, now and then empty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ostiary_moderation.figurative.view import FILLED, SIDE
from ostiary_moderation.training.marks.laying import Floats, Pixels, Turn, lay, spoilt, turned
from ostiary_moderation.training.marks.scenes import Draw

_EMPTY = 0.12


@dataclass(frozen=True)
class CloseUp:
    """`ink`: 0 to 1, where the mark is. `icon`: its number; -1 where there is none."""

    pixels: Pixels
    ink: Floats
    icon: int


def close_up(rng: np.random.Generator, draw: Draw, grounds: Pixels) -> CloseUp:
    """One mark on a piece of a photograph, SIDE × SIDE."""
    image = _piece(rng, grounds)
    if rng.random() < _EMPTY:
        return CloseUp(spoilt(rng, image), np.zeros((SIDE, SIDE), np.float32), -1)
    if rng.random() < 0.15:
        _neighbour(rng, draw, image)
    number = draw.one(rng)
    side = SIDE * FILLED * math.exp(rng.normal(0, 0.13))
    ink = turned(rng, draw.icons.inks[number], side, Turn.drawn(rng))
    if ink is None:
        return CloseUp(spoilt(rng, image), np.zeros((SIDE, SIDE), np.float32), -1)
    height, width = ink.shape
    left = round((SIDE - width) / 2 + rng.normal(0, 0.05) * SIDE)
    top = round((SIDE - height) / 2 + rng.normal(0, 0.05) * SIDE)
    laid = lay(rng, image, ink, left, top, draw.icons.colours[number])
    return CloseUp(spoilt(rng, image), laid.ink, number)


def _piece(rng: np.random.Generator, grounds: Pixels) -> Pixels:
    photograph = grounds[rng.integers(len(grounds))]
    height, width = photograph.shape[:2]
    side = int(40 * 6 ** rng.random())
    left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    piece = Image.fromarray(photograph[top : top + side, left : left + side])
    pixels = np.asarray(piece.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    lit: Pixels = np.clip(pixels * rng.uniform(0.7, 1.2), 0, 255).astype(np.uint8)
    return lit


def _neighbour(rng: np.random.Generator, draw: Draw, image: Pixels) -> None:
    """A part of another mark that looks in from an edge."""
    number = draw.one(rng)
    ink = turned(rng, draw.icons.inks[number], SIDE * FILLED, Turn.drawn(rng))
    if ink is None:
        return
    shown = int(rng.integers(3, 8))
    left, top = ((SIDE - shown, 4), (4, SIDE - shown), (shown - ink.shape[1], 4), (4, shown - ink.shape[0]))[
        int(rng.integers(4))
    ]
    lay(rng, image, ink, left, top, draw.icons.colours[number])
