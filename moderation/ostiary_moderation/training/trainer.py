"""The training loop, resumable: the vision tower alone, the text tower on frozen features, then both
together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import Qwen3VLForConditionalGeneration

from ostiary_moderation.engines.qwen3_vl.patch_embed import LinearPatchEmbed
from ostiary_moderation.training.architecture import patchify
from ostiary_moderation.training.auxiliary import AuxiliaryHeads
from ostiary_moderation.training.curriculum import Curriculum
from ostiary_moderation.training.feed import Batch
from ostiary_moderation.training.optimise import build_optimisers, rate_factor, set_rates
from ostiary_moderation.training.packing import IGNORE, Pack

# Shares of the time budget. An untaught text tower's gradients would undo what the vision tower has learnt:
# it first learns to read frozen features.
VISION_UNTIL, TEXT_UNTIL = 0.38, 0.45
VERDICT_WEIGHT = 2.0  # of a yes or a no, against any other answer token
SAVE_EVERY = 60.0  # seconds


@dataclass
class Progress:
    """How far training is. `seconds`: time spent in all runs; `step`: batches learnt; `loss`: smoothed."""

    seconds: float = 0.0
    step: int = 0
    loss: float = 0.0


class Trainer:
    """Owns the model, its heads and optimisers, and the checkpoint file."""

    def __init__(
        self, model: Qwen3VLForConditionalGeneration, curriculum: Curriculum, checkpoint: Path, budget: float
    ) -> None:
        self.model = model
        self.progress = Progress()
        self._curriculum = curriculum
        self._checkpoint = checkpoint
        self._budget = budget  # seconds
        visual = model.model.visual
        visual.patch_embed = LinearPatchEmbed(visual.patch_embed.proj)
        self._heads = AuxiliaryHeads(visual.config.out_hidden_size)
        towers = [visual, model.model.language_model]
        self._verdicts = torch.tensor(curriculum.verdict_tokens)
        self._optimisers = build_optimisers(towers, self._heads)

    def resume(self) -> None:
        """Continues from the checkpoint file, where there is one."""
        if not self._checkpoint.is_file():
            return
        state = torch.load(self._checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self._heads.load_state_dict(state["heads"])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.progress = Progress(**state["progress"])

    def run(self, batches: Iterator[Batch], report: Callable[[Progress], None]) -> None:
        """Learns until the time budget is spent, saving every minute and at the end, however the end
        comes.
        """
        saved = last = time.monotonic()
        self.model.train()
        try:
            while self.progress.seconds < self._budget:
                self._learn(next(batches))
                now = time.monotonic()
                self.progress.seconds += now - last
                last = now
                report(self.progress)
                if now - saved > SAVE_EVERY:
                    self._save()
                    saved = now
        finally:
            self._save()

    def _learn(self, batch: Batch) -> None:
        share = self.progress.seconds / self._budget
        set_rates(self._optimisers, rate_factor(share, warm=0.02))
        loss = self._loss(batch, share)
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([*self.model.parameters(), *self._heads.parameters()], 1.0)
        for optimiser in self._optimisers:
            optimiser.step()
        self.progress.step += 1
        weight = min(self.progress.step, 50)
        self.progress.loss += (loss.item() - self.progress.loss) / weight

    def _loss(self, batch: Batch, share: float) -> torch.Tensor:
        grids = torch.tensor([[1, 2 * batch.grid[0], 2 * batch.grid[1]]] * len(batch.pixels))
        pixels = patchify(torch.from_numpy(batch.pixels))
        seeing = not VISION_UNTIL <= share < TEXT_UNTIL
        with torch.set_grad_enabled(seeing):
            features = self.model.model.get_image_features(pixels, grids, return_dict=True)
        loss = torch.zeros(())
        if seeing:
            loss = loss + self._heads.loss(torch.stack(list(features.pooler_output)), batch)
        if share >= VISION_UNTIL:
            loss = 0.5 * loss + answer_loss(
                self.model, self._curriculum.pack(batch), features, self._verdicts
            )
        return loss

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "heads": self._heads.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "progress": vars(self.progress),
        }
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._checkpoint)


def answer_loss(
    model: Qwen3VLForConditionalGeneration, layout: Pack, features: object, verdicts: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the packed answers, summed over an example's answer tokens, mean over the batch."""
    ids, targets = torch.from_numpy(layout.ids), torch.from_numpy(layout.targets)
    batch = ids.shape[0]
    hidden = model.model(
        input_ids=ids,
        attention_mask=torch.from_numpy(layout.mask)[None, None].expand(batch, 1, -1, -1),
        position_ids=torch.from_numpy(layout.positions)[:, None].expand(3, batch, -1),
        mm_encoder_outputs={"image": features},
        use_cache=False,
    ).last_hidden_state
    learnt = targets != IGNORE
    losses = cross_entropy(model.lm_head(hidden[learnt]), targets[learnt], reduction="none")
    weights = torch.where(torch.isin(targets[learnt], verdicts), VERDICT_WEIGHT, 1.0)
    return (losses * weights).sum() / batch
