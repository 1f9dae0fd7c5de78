"""The training loop, resumable: which lesson when, and the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ostiary_moderation.training.feed import Batch, Showing
from ostiary_moderation.training.lessons import Lesson
from ostiary_moderation.training.optimise import Optimiser

SAVE_EVERY = 60.0  # seconds
Feed = Callable[[Showing, int], AbstractContextManager[Iterator[Batch]]]  # from which number on


@dataclass
class Progress:
    """How far training is. `seconds`: time spent in all runs; `step`: batches and `examples` learnt; `part`:
    of the course; `loss`: its smoothed loss.
    """

    seconds: float = 0.0
    step: int = 0
    examples: int = 0
    part: str = ""
    loss: float = 0.0


@dataclass(frozen=True)
class Part:
    """A lesson, taken until the share `until` of the whole time is spent."""

    name: str
    until: float
    lesson: Lesson
    optimiser: Optimiser


class Trainer:
    """Goes through a course. `pupils`: everything that learns and is kept in the checkpoint."""

    def __init__(
        self,
        course: Sequence[Part],
        pupils: nn.Module,
        feed: Feed,
        checkpoint: Path,
        budget: float,
        seed: int,
    ) -> None:
        self.progress = Progress()
        self._course = course
        self._pupils = pupils
        self._feed = feed
        self._checkpoint = checkpoint
        self._budget = budget  # seconds
        self._seed = seed

    def resume(self) -> None:
        """Continues from the checkpoint file, where there is one."""
        if not self._checkpoint.is_file():
            return
        saved = torch.load(self._checkpoint, weights_only=True)
        self._pupils.load_state_dict(saved["pupils"])
        for optimiser, state in zip(self._optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.progress = Progress(**saved["progress"])

    def run(self, report: Callable[[Progress], None]) -> None:
        """Learns until the time budget is spent, saving every minute and at the end, however the end
        comes.
        """
        try:
            for part in self._course:
                if self._share < part.until:
                    self._take(part, report)
        finally:
            self._save()

    @property
    def _share(self) -> float:
        return self.progress.seconds / self._budget if self._budget else 1.0

    @property
    def _optimisers(self) -> list[Optimiser]:
        """Each once, in the order of the course."""
        return list(dict.fromkeys(part.optimiser for part in self._course))

    def _take(self, part: Part, report: Callable[[Progress], None]) -> None:
        if self.progress.part != part.name:
            self.progress.part, self.progress.loss = part.name, 0.0
        feeding: AbstractContextManager[Iterator[Batch]] = nullcontext(iter(()))
        if part.lesson.scenes is not None:
            feeding = self._feed(part.lesson.scenes, self.progress.step)
        saved = last = time.monotonic()
        with feeding as scenes:
            while self._share < part.until:
                self._learn(part, scenes)
                now = time.monotonic()
                self.progress.seconds += now - last
                last = now
                report(self.progress)
                if now - saved > SAVE_EVERY:
                    self._save()
                    saved = now

    def _learn(self, part: Part, scenes: Iterator[Batch]) -> None:
        rng = np.random.default_rng([self._seed, self.progress.step])
        loss, examples = part.lesson.loss(rng, scenes)
        part.optimiser.step(loss, self._share)
        self.progress.step += 1
        self.progress.examples += examples
        value = loss.item()
        previous = self.progress.loss or value
        self.progress.loss = previous + (value - previous) / 50

    def _save(self) -> None:
        state = {
            "pupils": self._pupils.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "progress": vars(self.progress),
        }
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._checkpoint)
