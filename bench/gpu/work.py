"""What every arm is given: the same pictures, the same prompts in tokens, the same number of tokens to write.

There is no tokenizer: prompts are random tokens of the lengths that real ones have. Pictures are normalised
and cut into patches before the clock starts, but for our runner, which takes pixels and does both itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.gpu.floor import Check
from ostiary_moderation.engines.qwen3_vl.packs import Branch, Pack
from ostiary_moderation.engines.qwen3_vl.patches import cut_patches

QUESTIONS = 3
RULEBOOK = 24  # tokens before the image
PROMPT = 40  # of a question, and of the instruction to describe
WRITTEN = 80
MEAN, DEVIATION = [0.5] * 3, [0.5] * 3
_FIRST_WORD = 10  # tokens below have a meaning in the tiny model, those near the top in the large one


@dataclass(frozen=True)
class Work:
    """One size of picture for one model. `side`: in pixels, a multiple of a visual token's 32."""

    config: Any
    device: torch.device
    dtype: torch.dtype
    side: int
    written: int = WRITTEN
    seed: int = 7

    @cached_property
    def rulebook(self) -> tuple[int, ...]:
        """Tokens before the image, the mark that opens it included."""
        return (*self._words(0, RULEBOOK), self.config.vision_start_token_id)

    @property
    def after(self) -> tuple[int, ...]:
        """Tokens between the image and every prompt."""
        return (self.config.vision_end_token_id,)

    @cached_property
    def questions(self) -> tuple[tuple[int, ...], ...]:
        """The policy questions, each opening its answer."""
        return tuple(self._words(1 + number, PROMPT) for number in range(QUESTIONS))

    @cached_property
    def describe(self) -> tuple[int, ...]:
        """The instruction to describe."""
        return self._words(1 + QUESTIONS, PROMPT)

    @cached_property
    def answers(self) -> tuple[int, int]:
        """The tokens that stand for yes and no."""
        yes, no = self._words(2 + QUESTIONS, 2)
        return yes, no

    @property
    def grid(self) -> int:
        """Visual tokens along a side."""
        vision = self.config.vision_config
        return int(self.side // (vision.patch_size * vision.spatial_merge_size))

    @property
    def visual(self) -> int:
        """Visual tokens of a picture."""
        return self.grid**2

    def pictures(self, count: int) -> NDArray[np.uint8]:
        """(count, side, side, 3) of noise, no two alike."""
        chance = np.random.default_rng(self.seed)
        return chance.integers(0, 256, (count, self.side, self.side, 3), dtype=np.uint8)

    def patches(self, count: int) -> torch.Tensor:
        """The pictures as the stock model takes them: (count, patches, values), on the device."""
        vision = self.config.vision_config
        pixels = torch.from_numpy(self.pictures(count)).to(self.device).permute(0, 3, 1, 2).float()
        normalised = (pixels / 255 - MEAN[0]) / DEVIATION[0]
        cut = cut_patches(normalised, vision.patch_size, vision.spatial_merge_size)
        # A still image is two equal frames.
        frames = cut[:, :, :, None].expand(-1, -1, -1, vision.temporal_patch_size, -1, -1)
        return frames.flatten(2).to(self.dtype)

    def grids(self, count: int) -> torch.Tensor:
        """What the stock model is told of the pictures' sizes: (count, 3)."""
        side = self.grid * self.config.vision_config.spatial_merge_size
        return torch.tensor([[1, side, side]] * count, device=self.device)

    def prompt(self, question: tuple[int, ...]) -> list[int]:
        """A whole prompt: rulebook, image, question."""
        image = [self.config.image_token_id] * self.visual
        return [*self.rulebook, *image, *self.after, *question]

    def pack(self, description: bool) -> Pack:
        """The same as our runner takes it."""
        branches = tuple(Branch(question, self.answers) for question in self.questions)
        return Pack(self.rulebook, self.after, Branch(self.describe) if description else None, branches)

    def check(self, description: bool) -> Check:
        """What the floor counts."""
        return Check(
            visual=self.visual,
            patches=self.visual * self.config.vision_config.spatial_merge_size**2,
            text=len(self.rulebook) + len(self.after),
            branches=QUESTIONS * PROMPT,
            describe=PROMPT if description else 0,
            written=self.written if description else 0,
        )

    def _words(self, which: int, count: int) -> tuple[int, ...]:
        chance = np.random.default_rng([self.seed, which])
        top = min(self.config.text_config.vocab_size, 150_000)
        return tuple(int(word) for word in chance.integers(_FIRST_WORD, top, count))
