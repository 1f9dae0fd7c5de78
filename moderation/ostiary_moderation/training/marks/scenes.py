"""What the two networks learn from: photographs with marks on them, and close-ups of one mark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ostiary_moderation.training.marks.icons import Icons
from ostiary_moderation.training.marks.laying import Floats, Pixels, Turn, lay, spoilt, turned

WINDOW = 224
"""Pixels: the side of a piece of a photograph on which places are learnt."""
_SIDES = (24.0, 200.0)


class Draw:
    """Draws icons of the train part: each group as often as another, brands twice as often as things."""

    def __init__(self, icons: Icons) -> None:
        numbers = icons.of("train")
        self.icons = icons
        self._pools = [self._by_group(numbers[icons.brands[numbers] == brand]) for brand in (True, False)]

    def _by_group(self, numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        groups = self.icons.groups[numbers]
        return [numbers[groups == group] for group in np.unique(groups)]

    def one(self, rng: np.random.Generator) -> int:
        """The number of an icon."""
        pool = self._pools[0] if rng.random() < 0.6 else self._pools[1]
        return int(rng.choice(pool[rng.integers(len(pool))]))


@dataclass(frozen=True)
class Scene:
    """A piece of a photograph with marks on it. `boxes`: left, top, right, bottom; N × 4."""

    pixels: Pixels
    boxes: Floats


def scene(rng: np.random.Generator, draw: Draw, grounds: Pixels) -> Scene:
    """Up to four marks that do not touch one another; now and then none."""
    image = _window(rng, grounds)
    boxes: list[tuple[float, float, float, float]] = []
    for _ in range(int(rng.choice([0, 1, 2, 3, 4], p=[0.08, 0.3, 0.3, 0.2, 0.12]))):
        number = draw.one(rng)
        side = _SIDES[0] * (_SIDES[1] / _SIDES[0]) ** rng.random()
        ink = turned(rng, draw.icons.inks[number], side, Turn.drawn(rng))
        if ink is None:
            continue
        height, width = ink.shape
        left = int(rng.integers(-width // 8, max(WINDOW - width + width // 8, 1)))
        top = int(rng.integers(-height // 8, max(WINDOW - height + height // 8, 1)))
        box = (left - 4, top - 4, left + width + 4, top + height + 4)
        if any(_touch(box, other) for other in boxes):
            continue
        boxes.append(lay(rng, image, ink, left, top, draw.icons.colours[number]).box)
    return Scene(spoilt(rng, image), np.array(boxes, np.float32).reshape(-1, 4))


def _window(rng: np.random.Generator, grounds: Pixels) -> Pixels:
    photograph = grounds[rng.integers(len(grounds))]
    height, width = photograph.shape[:2]
    side = int(rng.integers(160, width + 1))
    left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    piece = Image.fromarray(photograph[top : top + side, left : left + side])
    piece = piece.resize((WINDOW, WINDOW), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(piece, np.float32) * rng.uniform(0.85, 1.1, 3)
    return np.clip(pixels * rng.uniform(0.7, 1.2), 0, 255).astype(np.uint8)


def _touch(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
