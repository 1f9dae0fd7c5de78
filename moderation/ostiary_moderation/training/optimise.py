"""Optimisers and their learning rates over the time that they have."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

MATRIX_RATE, OTHER_RATE, CONVOLUTION_RATE = 1.5e-3, 1.1e-3, 0.1
Schedule = Callable[[float], float]  # share of the time, 0 to 1 → factor of the learning rate


class Optimiser:
    """Several optimisers as one. `begin`, `end`: shares of the whole training between which its schedule
    runs.
    """

    def __init__(
        self, parts: Sequence[torch.optim.Optimizer], schedule: Schedule, begin: float, end: float
    ) -> None:
        self._parts = parts
        self._rates = [[group["lr"] for group in part.param_groups] for part in parts]
        self._schedule, self._begin, self._end = schedule, begin, end

    def step(self, loss: torch.Tensor, share: float) -> None:
        """One step downhill, at the rate for this share of the whole training."""
        factor = self._schedule(min(1.0, max(0.0, (share - self._begin) / (self._end - self._begin))))
        for part, rates in zip(self._parts, self._rates, strict=True):
            part.zero_grad(set_to_none=True)
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        loss.backward()  # type: ignore[no-untyped-call]
        for part in self._parts:
            nn.utils.clip_grad_norm_([p for group in part.param_groups for p in group["params"]], 1.0)
            part.step()

    def state_dict(self) -> list[Any]:
        """Of every optimiser."""
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, states: Sequence[Any]) -> None:
        """The counterpart of `state_dict`."""
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)


def for_transformer(modules: Iterable[nn.Module], heads: nn.Module, begin: float, end: float) -> Optimiser:
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
    adam = torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.05)
    return Optimiser([muon, adam], flat_then_down, begin, end)


def for_convolutions(module: nn.Module, begin: float, end: float) -> Optimiser:
    """Stochastic gradient descent with momentum; norms and biases do not decay."""
    kernels = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in module.parameters() if parameter.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": 1e-3}, {"params": others, "weight_decay": 0.0}]
    sgd = torch.optim.SGD(groups, lr=CONVOLUTION_RATE, momentum=0.9, nesterov=True)
    return Optimiser([sgd], half_a_cosine, begin, end)


def flat_then_down(share: float, warm: float = 0.03) -> float:
    """Linear warm-up, flat to the half, then linear to 2%."""
    return min(max(share / warm, 0.02), 1.0, max(0.02, 2.0 * (1.0 - share)))


def half_a_cosine(share: float, warm: float = 0.04) -> float:
    """Linear warm-up times half a cosine, down to nothing (arXiv:1608.03983)."""
    return min(max(share / warm, 0.02), 1.0) * (0.5 + 0.5 * math.cos(math.pi * share))


def fast_products() -> torch.autocast:
    """Matrix products and convolutions in bfloat16 where the processor has instructions for it: about twice
    as fast. Elsewhere it would be emulated, and slower.
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=_multiplies_bfloat16())


@functools.cache
def _multiplies_bfloat16() -> bool:
    facts = Path("/proc/cpuinfo")
    flags = facts.read_text("utf-8").split() if facts.is_file() else []
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)
