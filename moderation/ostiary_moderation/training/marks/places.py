"""The network that says where marks stand, whichever they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from ostiary_moderation.training.marks.scenes import WINDOW, Scene

STRIDE = 8
CHANNELS = (12, 24, 48, 96, 128)


class Block(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        return functional.relu(x + self.second(self.first(x)))


def convolution(into: int, out: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    """Convolution, norm, rectifier."""
    return nn.Sequential(
        nn.Conv2d(into, out, size, stride, size // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )


class Places(nn.Module):
    """(B, 3, H, W) from -1 to 1, sides multiples of 32 → (B, 5, H/8, W/8): logit that a mark's middle is in
    the cell, and logarithms of how far its left, top, right and bottom are, in cells.
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d, e = CHANNELS
        self.stem = nn.Sequential(convolution(3, a, 2), convolution(a, b, 2), Block(b))
        self.eighth = nn.Sequential(convolution(b, c, 2), Block(c), Block(c))
        self.sixteenth = nn.Sequential(convolution(c, d, 2), Block(d), Block(d))
        self.smallest = nn.Sequential(convolution(d, e, 2), Block(e), Block(e))
        self.from_smallest, self.from_sixteenth = convolution(e, d, size=1), convolution(d, c, size=1)
        self.join = convolution(c, c)
        last = nn.Conv2d(c, 5, 1)
        self.heads = nn.Sequential(convolution(c, c), last)
        last.bias = nn.Parameter(torch.tensor([-4.0, 1.0, 1.0, 1.0, 1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        eighth = self.eighth(self.stem(x))
        sixteenth = self.sixteenth(eighth)
        wide = _double(self.from_smallest(self.smallest(sixteenth))) + sixteenth
        out: torch.Tensor = self.heads(self.join(_double(self.from_sixteenth(wide)) + eighth))
        return out


def loss(out: torch.Tensor, scenes: Sequence[Scene]) -> torch.Tensor:
    """How far the network's answers are from where the marks are."""
    heat, near, distances = _truth(scenes)
    logit = out[:, 0]
    p = torch.sigmoid(logit)
    positive = heat >= 0.999
    found = -functional.logsigmoid(logit) * (1 - p) ** 2
    empty = -functional.logsigmoid(-logit) * p**2 * (1 - heat) ** 4
    marks = max(1, sum(len(scene.boxes) for scene in scenes))
    where = torch.where(positive, found, empty).sum() / marks
    if not near.any():
        return where
    guess = torch.exp(out[:, 1:].clamp(-4, 5)).permute(0, 2, 3, 1)[near]
    return where + 2.0 * _apart(guess, distances.permute(0, 2, 3, 1)[near])


def _double(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _apart(guess: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """One minus the generalised overlap of boxes that share a point, given as distances from it."""
    inner = torch.minimum(guess, true)
    outer = torch.maximum(guess, true)

    def area(d: torch.Tensor) -> torch.Tensor:
        return (d[:, 0] + d[:, 2]) * (d[:, 1] + d[:, 3])

    both = area(inner)
    union = area(guess) + area(true) - both
    hull = area(outer)
    return (1 - both / union + (hull - union) / hull).mean()


def _truth(scenes: Sequence[Scene]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Heat (1 in the middle of a mark, falling off), cells near a middle, and distances in cells there."""
    cells = WINDOW // STRIDE
    heat = torch.zeros(len(scenes), cells, cells)
    near = torch.zeros(len(scenes), cells, cells, dtype=torch.bool)
    distances = torch.ones(len(scenes), 4, cells, cells)
    at = torch.arange(cells) + 0.5
    y, x = torch.meshgrid(at, at, indexing="ij")
    for number, scene in enumerate(scenes):
        for left, top, right, bottom in (scene.boxes / STRIDE).tolist():
            u, v = (left + right) / 2, (top + bottom) / 2
            spread_x, spread_y = max(0.6, (right - left) / 9), max(0.6, (bottom - top) / 9)
            around = torch.exp(-((x - u) ** 2) / (2 * spread_x**2) - (y - v) ** 2 / (2 * spread_y**2))
            heat[number] = torch.maximum(heat[number], around)
            column, row = min(int(u), cells - 1), min(int(v), cells - 1)
            heat[number, row, column] = 1.0
            inside = (x > left) & (x < right) & (y > top) & (y < bottom)
            close = inside & (around > 0.4)
            close[row, column] = True
            near[number] |= close
            sides = torch.stack([x - left, y - top, right - x, bottom - y]).clamp(min=0.1)
            distances[number] = torch.where(close, sides, distances[number])
    return heat, near, distances
