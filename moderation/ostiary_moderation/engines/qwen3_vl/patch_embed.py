"""The patch embedding as a matrix product: its kernel is as large as its stride, so that a convolution buys
nothing.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear


class LinearPatchEmbed(nn.Module):
    """Stands in for the vision tower's patch embedding, on the same parameters under the same names.

    Several times faster than the stock Conv3d, on CPUs and on GPUs.
    """

    def __init__(self, proj: nn.Conv3d) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(patches, channels * frames * height * width) → (patches, hidden size)."""
        weight = self.proj.weight.flatten(1)
        return linear(hidden_states.to(weight.dtype), weight, self.proj.bias)
