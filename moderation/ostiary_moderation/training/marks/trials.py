"""Photographs with one mark, or none, as the score is fitted on and figures are measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ostiary_moderation.evaluation.photos import open_upright
from ostiary_moderation.figurative.view import Box
from ostiary_moderation.training.marks.icons import Icons
from ostiary_moderation.training.marks.laying import Pixels, Turn, lay, spoilt, turned

SMALLEST, LARGEST = 64, 200
"""Pixels: of a mark's longer side."""


@dataclass(frozen=True)
class Trial:
    """An image. `icon`: the number of its mark, -1 where it has none; `box`, `contrast`: of the mark."""

    pixels: Pixels
    icon: int = -1
    box: Box | None = None
    contrast: float = 0.0


def trial(rng: np.random.Generator, icons: Icons, icon: int, photograph: Path) -> Trial:
    """The photograph, saved again, with the icon somewhere on it; -1: without any."""
    image = np.array(open_upright(photograph))
    if icon < 0:
        return Trial(spoilt(rng, image))
    height, width = image.shape[:2]
    most = max(SMALLEST + 1.0, min(LARGEST, 0.6 * min(height, width)))
    while True:
        side = SMALLEST * (most / SMALLEST) ** rng.random()
        ink = turned(rng, icons.inks[icon], side, Turn.drawn(rng))
        if ink is not None and max(ink.shape) >= SMALLEST and max(ink.shape) < min(height, width):
            break
    left = int(rng.integers(0, width - ink.shape[1] + 1))
    top = int(rng.integers(0, height - ink.shape[0] + 1))
    laid = lay(rng, image, ink, left, top, icons.colours[icon])
    return Trial(spoilt(rng, image), icon, Box(*laid.box), laid.contrast)
