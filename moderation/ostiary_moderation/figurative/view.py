"""The square view in which marks are compared: centred, the longer side filling a fixed share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 48
"""Pixels: of the square."""
FILLED = 0.78
"""Share of it that the longer side of a mark fills."""
_LIKELY = 0.5
_LEAST_INK = 0.01
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Box:
    """Upright, in pixels of the image, from left and top up to right and bottom."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def longer(self) -> float:
        """Pixels: the longer side."""
        return max(self.right - self.left, self.bottom - self.top)

    def overlap(self, other: Box) -> float:
        """The share of what both cover that is covered by both."""
        both = self._common(other)
        return both / (self._area + other._area - both)

    def within(self, other: Box) -> float:
        """The share of this one that the other covers."""
        return self._common(other) / self._area

    def _common(self, other: Box) -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)

    @property
    def _area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True, slots=True)
class Window:
    """The square of an image that a view shows."""

    left: float
    top: float
    side: float

    @classmethod
    def around(cls, box: Box) -> Window:
        """So that the box is in the middle, and fills what a mark fills."""
        side = max(box.longer, 4.0) / FILLED
        return cls((box.left + box.right - side) / 2, (box.top + box.bottom - side) / 2, side)

    def cut(self, image: Image.Image) -> Pixels:
        """SIDE × SIDE × 3; beyond the image's edges its edge goes on."""
        left, top = math.floor(self.left), math.floor(self.top)
        right, bottom = math.ceil(self.left + self.side), math.ceil(self.top + self.side)
        inside = (max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height))
        piece = image.crop(inside)
        margins = (inside[0] - left, inside[1] - top, right - inside[2], bottom - inside[3])
        if any(margins):
            before, above, after, below = margins
            grown = np.pad(np.asarray(piece), ((above, below), (before, after), (0, 0)), mode="edge")
            piece = Image.fromarray(grown)
        x, y = self.left - left, self.top - top
        where = (x, y, min(x + self.side, piece.width), min(y + self.side, piece.height))
        return np.asarray(piece.resize((SIDE, SIDE), Image.Resampling.BILINEAR, where))

    def box(self, ink: Floats) -> Box | None:
        """Where in the image the ink of this view stands; None where there is next to none."""
        shown = ink > _LIKELY
        if shown.mean() < _LEAST_INK:
            return None
        scale = self.side / SIDE
        left, right = _extent(shown.sum(axis=0))
        top, bottom = _extent(shown.sum(axis=1))
        return Box(
            self.left + left * scale,
            self.top + top * scale,
            self.left + right * scale,
            self.top + bottom * scale,
        )


def with_contrast(views: Pixels) -> Floats:
    """Views, N × SIDE × SIDE × 3 → N × 4 × SIDE × SIDE, -1 to 1: the colours, and how far each pixel's is
    from those along the view's edges, where the ground shows.
    """
    edge = np.concatenate([views[:, :2], views[:, -2:]], axis=1).reshape(len(views), -1, 3)
    sides = np.concatenate([views[:, :, :2], views[:, :, -2:]], axis=2).reshape(len(views), -1, 3)
    ground = np.median(np.concatenate([edge, sides], axis=1), axis=1)
    apart = np.abs(views - ground[:, None, None].astype(np.float32)).max(axis=3, keepdims=True)
    channels = np.concatenate([views.astype(np.float32), apart], axis=3).transpose(0, 3, 1, 2)
    signed: Floats = np.ascontiguousarray(channels, np.float32) / np.float32(127.5) - np.float32(1)
    return signed


def _extent(counts: NDArray[np.int64]) -> tuple[int, int]:
    """From where to where all but the outermost 0.5% at each end are."""
    running = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(running, 0.005, side="right"))
    last = int(np.searchsorted(running, 0.995))
    return first, last + 1
