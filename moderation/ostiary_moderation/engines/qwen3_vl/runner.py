"""Forward passes: a batch of images with all their questions, and one more token for every description.

Not thread-safe: one thread owns a runner. The model's own position state is never used: other requests would
change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from traceback import clear_frames
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear

from ostiary_moderation.engines.qwen3_vl.attention import aligned
from ostiary_moderation.engines.qwen3_vl.cache import RowCache, Rows
from ostiary_moderation.engines.qwen3_vl.graphs import StepGraphs
from ostiary_moderation.engines.qwen3_vl.packs import Pack
from ostiary_moderation.engines.qwen3_vl.plans import KeysValues, Plan, Plans
from ostiary_moderation.engines.qwen3_vl.text_tower import TextTower
from ostiary_moderation.engines.qwen3_vl.vision_tower import VisionTower

# A layer's intermediate results of so many tokens stay in a CPU core's cache.
_CPU_TOKENS = 1024
_CPU_ALLOCATOR = "DefaultCPUAllocator: can't allocate memory"


@dataclass(frozen=True)
class Sizes:
    """What a runner sets memory aside for. `rows`: descriptions written at once; `max_length`: tokens of the
    longest, prompt and image included. `temperature`: 0 is greedy.
    """

    rows: int
    max_length: int
    temperature: float = 0.0


@dataclass(frozen=True)
class Answers:
    """What a prefill found. `logits`: for each image, for each question, those of its answers. `first`: for
    each image the first token of its description, -1 where it has no row or where the model's answer is not
    a number.
    """

    logits: list[list[NDArray[np.float32]]]
    first: list[int]


class Runner:
    """Runs a loaded model. `mean`, `deviation`: what its image processor normalises channels with."""

    def __init__(self, model: Any, mean: list[float], deviation: list[float], sizes: Sizes) -> None:
        self._device = model.device
        self._stop = _stop_tokens(model)
        with torch.inference_mode():
            self._vision = VisionTower(model.model.visual, mean, deviation)
            self._text = TextTower(model.model.language_model)
            self._head = model.lm_head.weight
            text, length = self._text, aligned(sizes.max_length)
            shape = (sizes.rows, text.kv_heads, length, text.head_dim)
            self._cache = RowCache(text.layers, shape, text.dtype, self._device)
            self._angles = text.angles(torch.arange(length, device=self._device).expand(3, -1))
        self._temperature = sizes.temperature
        self._merge = model.config.vision_config.spatial_merge_size * model.config.vision_config.patch_size
        self._plans = Plans(self._text, self._head, self._device)
        self._graphs = StepGraphs(self._step, self._device, sizes.rows, length)

    @property
    def stop_tokens(self) -> frozenset[int]:
        """Tokens that end a description."""
        return self._stop

    @torch.inference_mode()
    def prefill(
        self,
        views: Sequence[NDArray[np.uint8]],
        pack: Pack,
        rows: Sequence[int | None],
        dice: Sequence[NDArray[np.float32] | None] | None = None,
    ) -> Answers:
        """Asks a pack about images of one size, H × W × 3 each.

        Where an image has a row, keys and values of its prompt are kept there for `decode`, with `dice`, the
        numbers that its description is drawn with (max_new_tokens,).
        """
        height, width = views[0].shape[:2]
        plan = self._plans.of(height // self._merge, width // self._merge, pack)
        each = len(views)
        if self._device.type == "cpu":
            each = max(1, _CPU_TOKENS // plan.mask.shape[-1])
        logits: list[list[NDArray[np.float32]]] = []
        first: list[int] = []
        for start in range(0, len(views), each):
            part = slice(start, start + each)
            some = self._some(views[part], plan, rows[part], dice[part] if dice else None)
            logits += some.logits
            first += some.first
        return Answers(logits, first)

    @torch.inference_mode()
    def decode(self, first: int, count: int, longest: int, part: bool = False) -> list[int]:
        """One more token for each of the rows from `first`, the longest of which holds `longest` tokens.

        `part`: rows behind these are in use too. Returns the tokens; they are also the next to be fed.
        """
        self._graphs.run(first, count, longest + 1, part)
        tokens: list[int] = self._cache.tokens[first : first + count].tolist()
        return tokens

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Copies a row over another."""
        self._cache.move(source, target)

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether an error says so; cached blocks are handed back, so that a smaller batch finds room."""
        if not isinstance(error, torch.OutOfMemoryError) and _CPU_ALLOCATOR not in str(error):
            return False
        clear_frames(error.__traceback__)  # they hold what the pass had allocated before it failed
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return True

    def _some(
        self,
        views: Sequence[NDArray[np.uint8]],
        plan: Plan,
        rows: Sequence[int | None],
        dice: Sequence[NDArray[np.float32] | None] | None,
    ) -> Answers:
        pixels = torch.from_numpy(np.stack(views)).to(self._device)
        features = self._vision.forward(pixels)
        tail = plan.tail.expand(len(views), -1, -1)
        states = torch.cat([features.tokens.to(tail.dtype), tail], 1)
        kept = [index for index, row in enumerate(rows) if row is not None]
        images = slice(None) if len(kept) == len(rows) else torch.tensor(kept, device=self._device)
        taken = self._taken([row for row in rows if row is not None])

        def remember(layer: int, keys: torch.Tensor, values: torch.Tensor) -> KeysValues:
            known_keys, known_values = plan.rulebook[layer]
            batch = len(keys)
            keys = torch.cat([known_keys.expand(batch, -1, -1, -1), keys], 2)
            values = torch.cat([known_values.expand(batch, -1, -1, -1), values], 2)
            if kept:
                prompt = slice(0, plan.prompt)
                self._cache.fill(layer, taken, keys[images, :, prompt], values[images, :, prompt])
            return keys, values

        ends = self._text.forward(
            states, plan.angles, plan.mask, remember, ends=plan.ends, deepstack=features.deepstack
        )
        first = [-1] * len(views)
        if kept:
            thrown = [dice[index] for index in kept] if dice else []
            written = self._begin(ends[images, 0], taken, plan, thrown)
            for index, token in zip(kept, written, strict=True):
                first[index] = token
        asked = ends[:, len(ends[0]) - len(plan.columns) :]
        logits = linear(asked, plan.answers).float().cpu().numpy()
        picked = [[image[i, columns] for i, columns in enumerate(plan.columns)] for image in logits]
        return Answers(picked, first)

    def _begin(
        self, states: torch.Tensor, rows: Rows, plan: Plan, dice: Sequence[NDArray[np.float32] | None]
    ) -> list[int]:
        """Starts the descriptions of some rows from the states (rows, width) at the ends of their prompts."""
        if drawn := [numbers for numbers in dice if numbers is not None]:
            numbers = torch.from_numpy(np.stack(drawn)).to(self._device)
            self._cache.dice[rows, plan.prompt - 1 : plan.prompt - 1 + numbers.shape[1]] = numbers
        logits = linear(states, self._head)
        tokens = self._choose(logits, self._cache.dice[rows, plan.prompt - 1])
        self._cache.start(rows, plan.prompt, tokens, plan.next_position)
        fine = torch.isfinite(logits.sum(-1))
        written: list[int] = torch.where(fine, tokens, -1).tolist()
        return written

    def _step(self, first: int, count: int, longest: int) -> None:
        """One token for rows `first … first + count - 1`, in place: everything that it reads and writes stays
        where it is, so that it can be captured and replayed.
        """
        cache, rows = self._cache, slice(first, first + count)
        lengths, positions = cache.lengths[rows], cache.positions[rows]
        cache.mask[rows].scatter_(1, lengths[:, None], 0.0)
        cos, sin = self._angles
        states = self._text.forward(
            self._text.embed(cache.tokens[rows])[:, None],
            (cos[positions, None], sin[positions, None]),
            cache.mask[rows, None, None, :longest],
            partial(cache.append, first=first, longest=longest),
        )
        dice = cache.dice[rows].gather(1, lengths[:, None])[:, 0]
        cache.tokens[rows] = self._choose(linear(states[:, 0], self._head), dice)
        cache.advance(first, count)

    def _choose(self, logits: torch.Tensor, dice: torch.Tensor) -> torch.Tensor:
        """The likeliest tokens, or tokens drawn with `dice`, (rows,)."""
        if self._temperature == 0.0:
            if logits.device.type == "cpu":  # torch's own takes ten times as long there
                return torch.from_numpy(logits.float().numpy().argmax(-1))
            return logits.argmax(-1)
        shares = torch.softmax(logits.float() / self._temperature, -1).cumsum(-1)
        return (shares < dice[:, None] * shares[:, -1:]).sum(-1)

    def _taken(self, rows: Sequence[int]) -> Rows:
        """Rows as an index; of consecutive ones as a slice, which copies faster."""
        if rows and list(rows) == list(range(rows[0], rows[0] + len(rows))):
            return slice(rows[0], rows[0] + len(rows))
        return torch.tensor(rows, device=self._device)


def _stop_tokens(model: Any) -> frozenset[int]:
    generation = model.generation_config.eos_token_id
    ids = generation if generation is not None else model.config.text_config.eos_token_id
    return frozenset([ids] if isinstance(ids, int) else ids or [])
