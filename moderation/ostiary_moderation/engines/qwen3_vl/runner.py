"""Forward passes over one image: prefill once, then every question as a branch on the same cache.

The one place that computes with torch. Not thread-safe: one thread owns a runner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from ostiary_moderation.engines.qwen3_vl.positions import text_positions
from ostiary_moderation.engines.qwen3_vl.processor import Prefix
from ostiary_moderation.engines.qwen3_vl.questions import Branch

Checkpoint = Callable[[], None]  # raises to stop the work between two forward passes


@dataclass
class Prefilled:
    """Keys and values of a prefix. The cache grows while a branch runs and is cropped back after it."""

    cache: Any
    length: int  # tokens
    next_position: int


class Runner:
    """Runs a loaded model. Positions are always given: the model's own come from state that other requests
    change.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._device = model.device

    @torch.inference_mode()
    def prefill(self, prefix: Prefix) -> Prefilled:
        """Computes the keys and values of a prefix."""
        cache = DynamicCache(config=self._model.config.text_config)
        self._model.model(
            input_ids=self._tensor(prefix.ids)[None],
            position_ids=self._tensor(prefix.positions)[:, None],
            pixel_values=self._tensor(prefix.patches),
            image_grid_thw=torch.tensor([prefix.grid], device=self._device),
            mm_token_type_ids=self._tensor(prefix.image_mask)[None],
            past_key_values=cache,
            use_cache=True,
        )
        return Prefilled(cache, len(prefix.ids), prefix.next_position)

    @torch.inference_mode()
    def score(
        self, prefilled: Prefilled, branches: Sequence[Branch], checkpoint: Checkpoint
    ) -> list[NDArray[np.float32]]:
        """Logits of each branch's answers at its end. The cache is left as it was."""
        results = []
        for branch in branches:
            checkpoint()
            try:
                logits = self._extend(prefilled, branch.tokens, 0)
            finally:
                self._crop(prefilled)
            results.append(logits[list(branch.answers)].float().cpu().numpy())
        return results

    @torch.inference_mode()
    def decode(
        self,
        prefilled: Prefilled,
        tokens: Sequence[int],
        limit: int,
        stop: frozenset[int],
        checkpoint: Checkpoint,
    ) -> list[int]:
        """Greedy continuation of a branch: at most `limit` tokens, without the stop token that ended it."""
        written: list[int] = []
        try:
            logits = self._extend(prefilled, tokens, 0)
            while (token := int(logits.argmax())) not in stop:
                written.append(token)
                if len(written) == limit:
                    break
                checkpoint()
                logits = self._extend(prefilled, [token], len(tokens) + len(written) - 1)
        finally:
            self._crop(prefilled)
        return written

    @property
    def stop_tokens(self) -> frozenset[int]:
        """Tokens that end a description."""
        generation = self._model.generation_config.eos_token_id
        ids = generation if generation is not None else self._model.config.text_config.eos_token_id
        return frozenset([ids] if isinstance(ids, int) else ids or [])

    def _extend(self, prefilled: Prefilled, tokens: Sequence[int], offset: int) -> torch.Tensor:
        """Feeds tokens that stand `offset` tokens behind the prefix; logits (vocabulary,) after the last."""
        positions = text_positions(prefilled.next_position + offset, len(tokens))
        output = self._model(
            input_ids=torch.tensor([list(tokens)], device=self._device),
            position_ids=self._tensor(positions)[:, None],
            past_key_values=prefilled.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[0, -1]
        return logits

    def _crop(self, prefilled: Prefilled) -> None:
        """Back to the prefix alone. `crop` counts the tokens to drop as a negative number."""
        surplus = prefilled.cache.get_seq_length() - prefilled.length
        if surplus:
            prefilled.cache.crop(-surplus)

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)
