"""The patches that the vision tower embeds."""

from __future__ import annotations

import torch


def cut_patches(pixels: torch.Tensor, patch: int, merge: int) -> torch.Tensor:
    """Images of one size, B × 3 × H × W, as patches: (B, patches, 3, patch, patch), values as they were.

    Patches come in the order of visual tokens: the `merge` × `merge` patches that become one token stand
    together.
    """
    batch, channels, height, width = pixels.shape
    rows, columns = height // (patch * merge), width // (patch * merge)
    cells = pixels.reshape(batch, channels, rows, merge, patch, columns, merge, patch)
    ordered = cells.permute(0, 2, 5, 3, 6, 1, 4, 7)  # token row and column, patch in it, channel, pixel
    return ordered.reshape(batch, rows * columns * merge * merge, channels, patch, patch)
