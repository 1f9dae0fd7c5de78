"""The training loop of one network, resumable, for a share of the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ostiary_moderation.training.optimise import fast_products, half_a_cosine

SAVE_EVERY = 60.0  # seconds
Step = Callable[[np.random.Generator], tuple[torch.Tensor, int]]
"""One batch's loss, and how many examples it is of."""


@dataclass
class Progress:
    """How far a network is. `seconds`: spent in all runs; `loss`: smoothed."""

    seconds: float = 0.0
    step: int = 0
    examples: int = 0
    loss: float = 0.0


class Learning:
    """Teaches a network until its seconds are spent. `checkpoint`: where it goes on after a stop."""

    def __init__(self, name: str, network: nn.Module, checkpoint: Path, seconds: float, seed: int) -> None:
        self.progress = Progress()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._name = name
        self._checkpoint = checkpoint
        self._seconds = seconds
        self._seed = seed
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
        if checkpoint.is_file():
            saved = torch.load(checkpoint, weights_only=True)
            network.load_state_dict(saved["network"])
            self._optimiser.load_state_dict(saved["optimiser"])
            self.progress = Progress(**saved["progress"])

    def run(self, step: Step, report: Callable[[str], None]) -> None:
        """Learn until the time is spent; saved every minute, and at the end, however that comes."""
        self.network.train()
        last = saved = time.monotonic()
        try:
            while self.progress.seconds < self._seconds:
                self._step(step)
                now = time.monotonic()
                self.progress.seconds += now - last
                last = now
                if self.progress.step % 50 == 0:
                    report(self._line())
                if now - saved > SAVE_EVERY:
                    self._save()
                    saved = now
        finally:
            self._save()
        self.network.eval()

    def _step(self, step: Step) -> None:
        rate = half_a_cosine(self.progress.seconds / self._seconds)
        for group in self._optimiser.param_groups:
            group["lr"] = 2e-3 * rate
        with fast_products():
            loss, examples = step(np.random.default_rng([self._seed, self.progress.step]))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self._optimiser.step()
        self.progress.step += 1
        self.progress.examples += examples
        value = loss.item()
        previous = self.progress.loss or value
        self.progress.loss = previous + (value - previous) / 50

    def _line(self) -> str:
        now = self.progress
        return (
            f"{now.seconds / 60:6.1f} of {self._seconds / 60:.0f} min  {self._name}  batch {now.step}, "
            f"{now.examples} examples, loss {now.loss:.3f}"
        )

    def _save(self) -> None:
        partial = self._checkpoint.with_suffix(".partial")
        state = {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "progress": vars(self.progress),
        }
        torch.save(state, partial)
        partial.replace(self._checkpoint)
