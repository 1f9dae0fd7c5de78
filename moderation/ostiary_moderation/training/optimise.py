"""Optimisers and the learning-rate schedule, both by share of the time budget spent."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

MATRIX_RATE, OTHER_RATE = 1.6e-3, 1.2e-3


def build_optimisers(modules: Iterable[nn.Module], heads: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices; AdamW for the rest.

    The mergers are left to AdamW: they are wide, and orthogonalising them would cost more than learning
    from them.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = list(heads.parameters())
    for module in modules:
        for name, parameter in module.named_parameters():
            inner = parameter.ndim == 2 and "embed" not in name and "merger" not in name
            (matrices if inner else others).append(parameter)
    muon = torch.optim.Muon(
        matrices, lr=MATRIX_RATE, weight_decay=0.05, ns_steps=4, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.01)]


def rate_factor(progress: float, warm: float) -> float:
    """Linear warm-up to `warm`, flat to the half, then linear to 3%. `progress` and `warm`: 0 to 1."""
    if progress < warm:
        return max(progress / warm, 0.02)
    return max(0.03, min(1.0, 2.0 * (1.0 - progress)))


def set_rates(optimisers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Sets every optimiser's learning rate to its base rate times `factor`."""
    for optimiser in optimisers:
        base = MATRIX_RATE if isinstance(optimiser, torch.optim.Muon) else OTHER_RATE
        for group in optimiser.param_groups:
            group["lr"] = base * factor
