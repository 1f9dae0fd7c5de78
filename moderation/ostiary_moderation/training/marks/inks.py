"""The network that says which pixels of a close-up are the mark's."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ostiary_moderation.training.marks.places import Block, convolution


class Inks(nn.Module):
    """(B, 4, S, S) as `with_contrast` makes it → (B, S, S): logits that a pixel is the mark's."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = convolution(4, 12)
        self.halved = nn.Sequential(convolution(12, 32, 2), convolution(32, 32))
        self.quarter = nn.Sequential(convolution(32, 64, 2), Block(64))
        self.eighth = nn.Sequential(convolution(64, 96, 2), Block(96), Block(96))
        self.smallest = nn.Sequential(convolution(96, 128, 2), Block(128))
        self.to_eighth, self.join_eighth = convolution(128, 96, size=1), convolution(96, 96)
        self.to_quarter, self.join_quarter = convolution(96, 64, size=1), convolution(64, 64)
        self.to_half, self.join_half = convolution(64, 32, size=1), convolution(32, 32)
        self.to_whole = convolution(32, 12, size=1)
        self.last = nn.Sequential(convolution(12, 12), nn.Conv2d(12, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        whole = self.whole(x)
        half = self.halved(whole)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        y = self.join_eighth(_double(self.to_eighth(self.smallest(eighth))) + eighth)
        y = self.join_quarter(_double(self.to_quarter(y)) + quarter)
        y = self.join_half(_double(self.to_half(y)) + half)
        out: torch.Tensor = self.last(_double(self.to_whole(y)) + whole)
        return out[:, 0]


def loss(logits: torch.Tensor, inks: torch.Tensor) -> torch.Tensor:
    """Cross entropy, and how little the shapes overlap."""
    entropy = functional.binary_cross_entropy_with_logits(logits, inks)
    p = torch.sigmoid(logits)
    both = (p * inks).sum(dim=(1, 2))
    dice = 1 - (2 * both + 8) / (p.sum(dim=(1, 2)) + inks.sum(dim=(1, 2)) + 8)
    return entropy + 0.5 * dice.mean()


def _double(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
