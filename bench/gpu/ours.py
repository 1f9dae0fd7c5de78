"""Our runner's arms: the tree with its own attention and static keys and values; captured; in eight bits."""

from __future__ import annotations

from typing import Any

import torch

from bench.gpu.arms import Answer, Stages
from bench.gpu.clock import now
from bench.gpu.work import DEVIATION, MEAN, Work
from ostiary_moderation.engines.qwen3_vl.packs import Pack
from ostiary_moderation.engines.qwen3_vl.runner import Runner, Sizes
from ostiary_moderation.engines.qwen3_vl.vision_tower import VisionTower


class Ours:
    """The runner that serves. `captured`: whether decoding is replayed from CUDA graphs."""

    def __init__(self, name: str, model: Any, work: Work, batch: int, captured: bool) -> None:
        self.name, self.batch = name, batch
        self.cuda = "needs CUDA" if captured else ""
        self._model, self._work = model, work
        self._packs = {wanted: work.pack(wanted) for wanted in (True, False)}
        longest = self._packs[True].prompt(work.visual) + work.written
        self._runner = Runner(model, MEAN, DEVIATION, Sizes(batch, longest))
        if not captured:
            self._runner._graphs._captures = False
        self._views = list(work.pictures(batch))

    def run(self, description: bool) -> Answer:
        """See `GpuArm.run`."""
        rows = range(self.batch) if description else [None] * self.batch
        found = self._runner.prefill(self._views, self._packs[description], list(rows))
        margins = torch.tensor([[float(yes - no) for yes, no in image] for image in found.logits])
        return Answer(margins, torch.tensor(self._write(found.first)).T if description else None)

    def stages(self) -> Stages:
        """The vision tower alone, a prefill without questions, what the questions add, and the decoding."""
        work, each = self._work, self.batch
        tower = VisionTower(self._model.model.visual, MEAN, DEVIATION)
        with torch.inference_mode():
            pixels = torch.from_numpy(work.pictures(self.batch)).to(work.device)
            vision = self._timed(lambda: tower.forward(pixels))
        whole = self._packs[True]
        bare = Pack(whole.rulebook, whole.after, whole.describe, whole.questions[:1])
        rows: list[int | None] = list(range(self.batch))
        one = self._timed(lambda: self._runner.prefill(self._views, bare, rows))
        prefill = self._timed(lambda: self._runner.prefill(self._views, whole, rows))
        first = self._runner.prefill(self._views, whole, rows).first
        decode = self._timed(lambda: self._write(first), warm=False)
        # Two more questions make the difference; three make the branches.
        branches = (prefill - one) * len(whole.questions) / (len(whole.questions) - 1)
        prompt = prefill - branches - vision
        return Stages(vision / each, prompt / each, branches / each, decode / each)

    def _write(self, first: list[int]) -> list[list[int]]:
        """All tokens of every row, (tokens, rows), whatever they are: a stop token does not stop here."""
        held = self._packs[True].prompt(self._work.visual)
        written = [first]
        for number in range(self._work.written - 1):
            written.append(self._runner.decode(0, self.batch, held + number))
        return written

    def _timed(self, work: Any, *, warm: bool = True) -> float:
        if warm:
            work()
        begun = now(self._work.device)
        work()
        return now(self._work.device) - begun
