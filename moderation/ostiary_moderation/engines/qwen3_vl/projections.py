"""Linear layers that read the same input, as one matrix product over the stock modules' own parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn.functional import linear

Projection = Callable[[torch.Tensor], torch.Tensor]


def fuse(modules: Sequence[nn.Module]) -> Projection:
    """One product whose output is the modules' outputs side by side.

    Plain linear layers become views of one weight, so that memory holds it once. On a CPU the weight is laid
    out transposed: products with few rows, as in decoding, are up to twice as fast. Others (quantised ones)
    are called one after another.
    """
    if not all(type(module) is nn.Linear and module.bias is None for module in modules):
        return modules[0] if len(modules) == 1 else partial(_side_by_side, tuple(modules))
    weights = [module.weight for module in modules]
    with torch.no_grad():
        fused = torch.cat([weight.data for weight in weights])  # type: ignore[misc]
        if fused.device.type == "cpu":
            fused = fused.t().contiguous().t()
        start = 0
        for weight in weights:
            weight.data = fused[start : start + len(weight)]  # type: ignore[arg-type]
            start += len(weight)  # type: ignore[arg-type]
    return partial(_product, fused)


def _product(weight: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    return linear(states, weight)


def _side_by_side(modules: tuple[nn.Module, ...], states: torch.Tensor) -> torch.Tensor:
    return torch.cat([module(states) for module in modules], -1)
