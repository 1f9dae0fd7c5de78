"""Shapes as directions: those of one mark, however distorted, lie near each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.figurative.view import SIDE, Floats

_EVERY = 2
SMALL = (SIDE // _EVERY) ** 2
"""How many values a small copy of a shape has."""


@dataclass(frozen=True)
class Directions:
    """Linear: `mean` of SMALL values, `matrix` of SMALL × width."""

    mean: Floats
    matrix: Floats

    def __call__(self, inks: Floats) -> Floats:
        """Inks, N × SIDE × SIDE → directions, N × width, of length one."""
        values = (copies(inks) - self.mean) @ self.matrix
        unit: Floats = values / (np.linalg.norm(values, axis=1, keepdims=True) + 1e-6)
        return unit


def copies(inks: NDArray[np.float32]) -> Floats:
    """Small copies, softened, one a row: N × SMALL."""
    framed = np.pad(inks, ((0, 0), (1, 2), (1, 2)))
    soft = sum(
        weight * framed[:, dy : dy + SIDE : _EVERY, dx : dx + SIDE : _EVERY] for dy, dx, weight in _TENT
    )
    return np.asarray(soft, np.float32).reshape(len(inks), -1)


_TENT = tuple(
    (dy, dx, down * across / 36)
    for dy, down in enumerate((1, 2, 2, 1))
    for dx, across in enumerate((1, 2, 2, 1))
)
