"""Linear layers in eight bits: weights quantised once by row, activations by token, multiplied by
`torch._scaled_mm`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_FORMAT = torch.float8_e4m3fn
_LARGEST = torch.finfo(_FORMAT).max
_TINY = 1e-12
_NAMES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class EightBitLinear(nn.Module):
    """Stands in for a linear layer without bias. Sizes must be multiples of 16."""

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, stock: nn.Linear) -> None:
        super().__init__()
        weight, scale = _quantised(stock.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self._dtype = stock.weight.dtype

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(…, in) → (…, out)."""
        rows, scale = _quantised(states.reshape(-1, states.shape[-1]))
        product = torch._scaled_mm(
            rows,
            self.weight.t(),
            scale_a=scale,
            scale_b=self.scale.t(),
            out_dtype=self._dtype,
            use_fast_accum=True,
        )
        return product.reshape(*states.shape[:-1], -1)


def quantise_text(model: Any) -> None:
    """Replace the text tower's projections; vision tower, embeddings and head stay as they are."""
    for module in model.model.language_model.modules():
        for name, child in list(module.named_children()):
            if name in _NAMES:
                setattr(module, name, EightBitLinear(child))


def _quantised(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows in eight bits, and the scale of each, (rows, 1) float32."""
    scale = values.abs().amax(-1, keepdim=True).float().clamp(min=_TINY) / _LARGEST
    return (values.float() / scale).to(_FORMAT), scale
