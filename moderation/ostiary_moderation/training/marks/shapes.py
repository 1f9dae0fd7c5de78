"""Directions of shapes: in which those of one mark, however distorted, lie near each other.

Linear discriminants: whitened by how shapes of one mark differ, along where marks differ most. They are found
in closed form, from distorted shapes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ostiary_moderation.figurative.directions import SMALL, Directions, copies
from ostiary_moderation.figurative.view import FILLED, SIDE

WIDTH = 160
EACH = 4
_SHRINK = 0.05
_AT_ONCE = 384
_TURNED = 7.0  # degrees; marks are kept turned by more


def find_directions(inks: NDArray[np.uint8], seed: int) -> Directions:
    """From shapes, N × side × side: the directions that tell them apart best, each distorted EACH times."""
    distortion = Distortion(inks)
    rng = np.random.default_rng(seed)
    count = len(inks)
    within = np.zeros((SMALL, SMALL))
    means = []
    for first in range(0, count, _AT_ONCE):
        numbers = np.arange(first, min(first + _AT_ONCE, count))
        drawn = np.stack([copies(distortion.seen(rng, numbers).numpy()) for _ in range(EACH)])
        middle = drawn.mean(axis=0)
        apart = (drawn - middle).reshape(-1, drawn.shape[2]).astype(np.float64)
        within = within + apart.T @ apart
        means.append(middle)
    centres = np.concatenate(means).astype(np.float64)
    mean = centres.mean(axis=0)
    between = (centres - mean).T @ (centres - mean) / count
    within = within / (count * (EACH - 1))
    within = within + np.eye(len(mean)) * _SHRINK * np.trace(within) / len(mean)
    values, vectors = np.linalg.eigh(within)
    white = vectors / np.sqrt(values)
    _, turns = np.linalg.eigh(white.T @ between @ white)
    matrix = white @ turns[:, ::-1][:, :WIDTH]
    return Directions(mean.astype(np.float32), matrix.astype(np.float32))


class Distortion:
    """Shapes as the network of inks might see them, drawn for whole batches at once."""

    def __init__(self, inks: NDArray[np.uint8]) -> None:
        """`inks`: N × side × side, 255 where there is ink."""
        halves = [
            functional.avg_pool2d(torch.from_numpy(some).float()[:, None], 3, 2, 1).byte()
            for some in np.array_split(inks, max(1, len(inks) // 256))
        ]
        self._inks = torch.cat(halves)

    def plain(self, numbers: NDArray[np.int64]) -> torch.Tensor:
        """The shapes, upright, in the square view."""
        return self._warped(numbers, torch.eye(3).expand(len(numbers), 3, 3))

    def seen(self, rng: np.random.Generator, numbers: NDArray[np.int64]) -> torch.Tensor:
        """Turned, off the middle, seen from the side, blurred, with holes and with more than the mark."""
        count = len(numbers)
        shapes = self._warped(numbers, _homographies(rng, count))
        holes = _clouds(rng, count) < torch.from_numpy(rng.uniform(-0.5, 0.28, count)).float()[:, None, None]
        shapes = shapes * (1 - 0.8 * holes.float())
        more = self._warped(rng.permutation(numbers), _homographies(rng, count, 0.45))
        spill = torch.from_numpy((rng.random(count) < 0.2) * rng.uniform(0.2, 0.9, count)).float()
        patches = (_clouds(rng, count) > 0.75).float()
        shapes = torch.maximum(shapes, more * patches * spill[:, None, None])
        shapes = _blurred(rng, shapes)
        gain = torch.from_numpy(rng.uniform(2, 10, (count, 1, 1))).float()
        middle = torch.from_numpy(rng.uniform(0.3, 0.7, (count, 1, 1))).float()
        noise = torch.from_numpy(rng.normal(0, 1, tuple(shapes.shape))).float()
        noise *= torch.from_numpy(rng.uniform(0, 0.8, (count, 1, 1))).float()
        return torch.sigmoid((shapes - middle) * gain + noise)

    def _warped(self, numbers: NDArray[np.int64], homographies: torch.Tensor) -> torch.Tensor:
        """`homographies`: from the view to the shape, both from -1 to 1, the shape filling its share."""
        inks = self._inks[torch.from_numpy(numbers)].float() / 255.0
        at = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
        y, x = torch.meshgrid(at, at, indexing="ij")
        points = torch.stack([x, y, torch.ones_like(x)], dim=-1).reshape(1, -1, 3) / torch.tensor(
            [FILLED, FILLED, 1.0]
        )
        moved = points @ homographies.float().transpose(1, 2)
        grid = (moved[..., :2] / moved[..., 2:]).reshape(-1, SIDE, SIDE, 2)
        return functional.grid_sample(inks, grid, align_corners=False)[:, 0]


def _homographies(rng: np.random.Generator, count: int, shift: float = 0.08) -> torch.Tensor:
    angle = rng.uniform(-_TURNED, _TURNED, count) * math.pi / 180
    size = np.exp(rng.normal(0, 0.1, (2, count))) * np.exp(rng.normal(0, 0.08, count))
    matrix = np.zeros((count, 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = np.cos(angle) * size[0], -np.sin(angle) * size[0]
    matrix[:, 1, 0], matrix[:, 1, 1] = np.sin(angle) * size[1], np.cos(angle) * size[1]
    matrix[:, 0, 2], matrix[:, 1, 2] = rng.normal(0, shift, (2, count))
    matrix[:, 2, :2] = rng.normal(0, 0.08, (count, 2))
    matrix[:, 2, 2] = 1
    return torch.from_numpy(matrix)


def _clouds(rng: np.random.Generator, count: int) -> torch.Tensor:
    """Smooth noise, 0 to 1."""
    coarse = torch.from_numpy(rng.random((count, 1, 6, 6))).float()
    return functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")[:, 0]


def _blurred(rng: np.random.Generator, shapes: torch.Tensor) -> torch.Tensor:
    """Some of them, by one of two amounts."""
    soft = functional.avg_pool2d(shapes[:, None], 3, 1, 1)[:, 0]
    softer = functional.avg_pool2d(soft[:, None], 3, 1, 1)[:, 0]
    which = torch.from_numpy(rng.integers(0, 3, len(shapes)))[:, None, None]
    return torch.where(which == 0, shapes, torch.where(which == 1, soft, softer))
