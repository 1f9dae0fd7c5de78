"""Every photograph in memory, small, and varied views of them in batches.

Decoding and drawing are too slow to feed a small network; cutting views out of tensors is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import affine_grid, grid_sample, one_hot

from ostiary_moderation.training.photos import AUDIENCES, CATEGORIES, COLOURS, PATTERNS, Photo

# Shapes (rows, columns of visual tokens) that photographs come in, nearly all of the first; stored at CELL
# pixels a token.
SHAPES = ((9, 7), (7, 9), (8, 8))
CELL = 32
LABELS = {"category": CATEGORIES, "colour": COLOURS, "pattern": PATTERNS, "audience": AUDIENCES}


@dataclass(frozen=True)
class Views:
    """A batch. `pixels`: (B, 3, H, W), -1 to 1. `labels`: by name, (B, values) shares that sum to 1.

    `blended`: pictures show through one another, so that colours are nobody's.
    """

    pixels: torch.Tensor
    labels: dict[str, torch.Tensor]
    blended: bool = False


@dataclass(frozen=True)
class _Shelf:
    pixels: torch.Tensor  # (N, 3, H, W) uint8
    labels: dict[str, torch.Tensor]  # (N,) indices
    weights: NDArray[np.float64]  # (N,), sum to 1


class Gallery:
    """Photographs by shape. Draws are decided by the generator alone."""

    def __init__(self, photos: Sequence[Photo], report: Callable[[str], None] = lambda line: None) -> None:
        self._shelves: dict[tuple[int, int], _Shelf] = {}
        by_shape: dict[tuple[int, int], list[tuple[Photo, NDArray[np.uint8]]]] = {}
        for done, photo in enumerate(photos, start=1):
            shape, pixels = _read(photo)
            by_shape.setdefault(shape, []).append((photo, pixels))
            if done % 1000 == 0:
                report(f"reading photographs: {done} of {len(photos)}")
        self._shares = {shape: len(shelf) / len(photos) for shape, shelf in by_shape.items()}
        for shape, shelf in by_shape.items():
            stacked = torch.from_numpy(np.stack([pixels for _, pixels in shelf]).transpose(0, 3, 1, 2).copy())
            self._shelves[shape] = _Shelf(
                stacked, label_indices([p for p, _ in shelf]), _weights([p for p, _ in shelf], photos)
            )

    def draw(self, rng: np.random.Generator, size: int, tokens: int) -> tuple[tuple[int, int], Views]:
        """A grid of at most about `tokens` visual tokens, and `size` varied views of photographs of that
        shape.
        """
        shapes = list(self._shares)
        shape = shapes[int(rng.choice(len(shapes), p=list(self._shares.values())))]
        shelf = self._shelves[shape]
        grid = shrink(shape, tokens)
        chosen = torch.from_numpy(rng.choice(len(shelf.weights), size, p=shelf.weights))
        pixels = shelf.pixels[chosen].float().div_(127.5).sub_(1.0)
        views = vary(rng, pixels, (grid[0] * CELL, grid[1] * CELL))
        labels = {
            name: one_hot(index[chosen], len(LABELS[name])).float() for name, index in shelf.labels.items()
        }
        return grid, Views(relight(rng, views), labels)


def label_indices(photos: Sequence[Photo]) -> dict[str, torch.Tensor]:
    """(N,) index into the label's values, by the label's name."""
    return {
        name: torch.tensor([values.index(getattr(photo, name)) for photo in photos])
        for name, values in LABELS.items()
    }


def shrink(shape: tuple[int, int], tokens: int) -> tuple[int, int]:
    """The shape, made small enough for about `tokens` visual tokens, its proportions kept as well as whole
    numbers can.
    """
    scale = min(1.0, math.sqrt(tokens / (shape[0] * shape[1])))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def vary(rng: np.random.Generator, pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Another view of each picture: part of it, a little turned and stretched, half of them mirrored."""
    count, (height, width) = len(pixels), size
    area, stretch = rng.uniform(0.5, 1.1, count), np.exp(rng.uniform(-0.2, 0.2, count))
    sx, sy = np.sqrt(area * stretch).clip(max=1.1), np.sqrt(area / stretch).clip(max=1.1)
    turn, mirror = rng.normal(0, 0.12, count), rng.choice([-1.0, 1.0], count)
    aspect = height / width
    theta = np.zeros((count, 2, 3))
    theta[:, 0, 0], theta[:, 0, 1] = sx * np.cos(turn) * mirror, -sy * np.sin(turn) * aspect
    theta[:, 1, 0], theta[:, 1, 1] = sx * np.sin(turn) * mirror / aspect, sy * np.cos(turn)
    theta[:, 0, 2] = (1 - sx).clip(min=0) * rng.uniform(-1, 1, count)
    theta[:, 1, 2] = (1 - sy).clip(min=0) * rng.uniform(-1, 1, count)
    grid = affine_grid(torch.from_numpy(theta).float(), [count, 3, height, width], align_corners=False)
    return grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def relight(rng: np.random.Generator, pixels: torch.Tensor) -> torch.Tensor:
    """Other light, by so much that a colour keeps its name mostly: exposure, warmth, saturation."""
    count = len(pixels)

    def normal(channels: int, scale: float) -> torch.Tensor:
        return torch.from_numpy(rng.normal(0, scale, (count, channels, 1, 1))).float()

    pixels = pixels * (1 + normal(1, 0.12)) + normal(3, 0.025) + normal(1, 0.07)
    grey = pixels.mean(dim=1, keepdim=True)
    return grey + (pixels - grey) * (1 + normal(1, 0.12))


def mix(rng: np.random.Generator, views: Views) -> Views:
    """Each picture with another's: blended (mixup, arXiv:1710.09412) or with a part of it (CutMix,
    arXiv:1905.04899). Labels are shared out alike.
    """
    count, _, height, width = views.pixels.shape
    other = torch.from_numpy(rng.permutation(count))
    share = float(rng.beta(0.8, 0.8))
    blended = bool(rng.random() < 0.5)
    if blended:
        pixels = share * views.pixels + (1 - share) * views.pixels[other]
    else:
        side = math.sqrt(1 - share)
        rows, columns = int(height * side), int(width * side)
        top, left = int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - columns + 1))
        patch = (..., slice(top, top + rows), slice(left, left + columns))
        pixels = views.pixels.clone()
        pixels[patch] = views.pixels[other][patch]
        share = 1 - rows * columns / (height * width)
    labels = {name: share * label + (1 - share) * label[other] for name, label in views.labels.items()}
    return Views(pixels, labels, blended)


def _read(photo: Photo) -> tuple[tuple[int, int], NDArray[np.uint8]]:
    with Image.open(photo.path) as image:
        aspect = image.width / image.height
        shape = min(SHAPES, key=lambda s: abs(math.log(s[1] / s[0] / aspect)))
        resized = image.convert("RGB").resize((shape[1] * CELL, shape[0] * CELL), Image.Resampling.BICUBIC)
        return shape, np.asarray(resized)


def _weights(shelf: Sequence[Photo], photos: Sequence[Photo]) -> NDArray[np.float64]:
    """Rare categories more often than they occur, common ones less."""
    counts = {name: sum(photo.category == name for photo in photos) for name in CATEGORIES}
    weights = np.array([counts[photo.category] ** -0.25 for photo in shelf])
    return np.asarray(weights / weights.sum())
