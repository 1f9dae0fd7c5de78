"""From what the network of places says to boxes in the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ostiary_moderation.figurative.view import Box, Floats, Pixels

LONGER = 448
"""Pixels: the longer side of what the network looks at."""
_STRIDE = 8
_MULTIPLE = 32
_MOST = 8
_LEAST = 0.04
_SAME = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mark may be. `logit`: of how likely there is one."""

    box: Box
    logit: float


def shrunk(image: Image.Image) -> tuple[Pixels, float]:
    """The image as the network looks at it, grey beyond its edges, and how many of its pixels one here is."""
    scale = LONGER / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    width, height = (-(-side // _MULTIPLE) * _MULTIPLE for side in size)
    canvas = np.full((height, width, 3), 128, np.uint8)
    canvas[: size[1], : size[0]] = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    return canvas, 1 / scale


def found(out: Floats, scale: float, width: int, height: int) -> list[Place]:
    """The likeliest places, each once, within an image of that size. `scale`: its pixels per one of the
    network's.
    """
    logits = out[0]
    peaks = np.argwhere((logits >= _highest_around(logits)) & (logits > np.log(_LEAST / (1 - _LEAST))))
    ranked = sorted(peaks.tolist(), key=lambda cell: -logits[cell[0], cell[1]])
    kept: list[Place] = []
    for row, column in ranked:
        left, top, right, bottom = np.exp(np.clip(out[1:, row, column], -4, 5))
        x, y = column + 0.5, row + 0.5
        unit = _STRIDE * scale
        box = Box(
            max((x - left) * unit, 0.0),
            max((y - top) * unit, 0.0),
            min((x + right) * unit, float(width)),
            min((y + bottom) * unit, float(height)),
        )
        if box.right - box.left < 2 or box.bottom - box.top < 2:
            continue
        if all(box.overlap(other.box) < _SAME for other in kept):
            kept.append(Place(box, float(logits[row, column])))
        if len(kept) == _MOST:
            break
    return kept


def _highest_around(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each cell and its eight neighbours the highest value."""
    framed = np.pad(values, 1, constant_values=-np.inf)
    rows, columns = values.shape
    around = [framed[dy : dy + rows, dx : dx + columns] for dy in range(3) for dx in range(3)]
    highest: NDArray[np.float32] = np.max(around, axis=0)
    return highest
