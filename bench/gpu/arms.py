"""What an arm is, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True)
class Answer:
    """What an arm found in a batch, so that arms can be held against one another.

    `margins`: logit(yes) - logit(no), (images, questions). `written`: tokens, (images, tokens); None where no
    description was wanted.
    """

    margins: torch.Tensor
    written: torch.Tensor | None


@dataclass
class Stages:
    """Milliseconds a check, of stages that an arm can tell apart."""

    vision: float | None = None
    prefill: float | None = None
    branches: float | None = None
    decode: float | None = None

    def row(self) -> dict[str, float | None]:
        """As columns of the report."""
        return {
            "ViT ms": self.vision,
            "prefill ms": self.prefill,
            "branch ms": self.branches,
            "decode ms": self.decode,
        }


class GpuArm(Protocol):
    """One way to answer checks. `batch`: images at once; `cuda`: why it needs CUDA, or nothing."""

    name: str
    batch: int
    cuda: str

    def run(self, description: bool) -> Answer:
        """Answer one batch, from patches or pixels to answers on the host."""
        ...

    def stages(self) -> Stages:
        """Where the time of a batch with descriptions goes."""
        ...
