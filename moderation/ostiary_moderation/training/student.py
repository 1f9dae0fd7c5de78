"""The model while it learns: what the vision tower sees, and how far answers are from the truth."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AttentionInterface, Qwen3VLForConditionalGeneration
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from ostiary_moderation.engines.qwen3_vl.patch_embed import LinearPatchEmbed
from ostiary_moderation.training.architecture import patchify
from ostiary_moderation.training.optimise import fast_products
from ostiary_moderation.training.packing import IGNORE, Pack

VERDICT_WEIGHT = 2.0  # of a yes or a no, against any other answer token
_ATTENTION = "sdpa_in_float32"


class Student(nn.Module):
    """A model with the linear patch embedding that serving has too. `verdicts`: tokens of yes and no."""

    def __init__(self, model: Qwen3VLForConditionalGeneration, verdicts: list[int]) -> None:
        super().__init__()
        AttentionInterface.register(_ATTENTION, _attend)
        model.set_attn_implementation(_ATTENTION)
        self.model = model
        self._verdicts = torch.tensor(verdicts)
        visual = model.model.visual
        visual.patch_embed = LinearPatchEmbed(visual.patch_embed.proj)

    @property
    def towers(self) -> list[nn.Module]:
        """Vision and text."""
        return [self.model.model.visual, self.model.model.language_model]

    def see(self, pixels: torch.Tensor, grid: tuple[int, int]) -> Any:
        """Visual features of (B, 3, H, W) from -1 to 1; `pooler_output` holds (tokens, width) per picture."""
        grids = torch.tensor([[1, 2 * grid[0], 2 * grid[1]]] * len(pixels))
        with fast_products():
            return self.model.model.get_image_features(patchify(pixels), grids, return_dict=True)

    def answer_loss(self, layout: Pack, features: Any) -> torch.Tensor:
        """Cross-entropy of the packed answers, summed over an example's tokens, mean over the batch."""
        ids, targets = torch.from_numpy(layout.ids), torch.from_numpy(layout.targets)
        batch = ids.shape[0]
        learnt = targets != IGNORE
        with fast_products():
            hidden = self.model.model(
                input_ids=ids,
                attention_mask=torch.from_numpy(layout.mask)[None, None].expand(batch, 1, -1, -1),
                position_ids=torch.from_numpy(layout.positions)[:, None].expand(3, batch, -1),
                mm_encoder_outputs={"image": features},
                use_cache=False,
            ).last_hidden_state
            logits = self.model.lm_head(hidden[learnt])
        losses = cross_entropy(logits.float(), targets[learnt], reduction="none")
        weights = torch.where(torch.isin(targets[learnt], self._verdicts), VERDICT_WEIGHT, 1.0)
        return (losses * weights).sum() / batch


def visual_tokens(features: Any) -> torch.Tensor:
    """(B, tokens, width), tokens in reading order."""
    return torch.stack(list(features.pooler_output)).float()


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """The library's attention in float32: in bfloat16 the CPU's kernel takes five times as long backwards."""
    with torch.autocast("cpu", enabled=False):
        seen, _ = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), attention_mask, **options
        )
    return seen.to(query.dtype), None
