"""The embedded model's size. The architecture is Qwen3-VL's own, from transformers; only the numbers are
small.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from ostiary_moderation.engines.qwen3_vl.patches import cut_patches

PATCH, MERGE, TEMPORAL = 16, 2, 2
CELL = PATCH * MERGE  # pixels of a visual token's side


def build_config(tokenizer: PreTrainedTokenizerFast, width: int = 192) -> Qwen3VLConfig:
    """Configuration for a vocabulary. `width`: hidden size of both towers, a multiple of 64."""

    def token(text: str) -> int:
        return int(tokenizer.vocab[text])

    vision = {
        "depth": 5, "hidden_size": width, "intermediate_size": 3 * width, "num_heads": width // 32,
        "patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": TEMPORAL,
        "out_hidden_size": width,
        "num_position_embeddings": 256, "deepstack_visual_indexes": [2],
    }  # fmt: skip
    text = {
        "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 5 * width // 2,
        "num_hidden_layers": 4,
        "num_attention_heads": width // 64 * 2, "num_key_value_heads": width // 64, "head_dim": 32,
        "max_position_embeddings": 4096, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [6, 5, 5],
        "mrope_interleaved": True},
        "bos_token_id": None, "eos_token_id": token("<|im_end|>"), "pad_token_id": token("<|endoftext|>"),
    }  # fmt: skip
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def build_model(config: Qwen3VLConfig, seed: int) -> Qwen3VLForConditionalGeneration:
    """A model with random weights, the same for the same seed, and a vision tower that looks around."""
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(config)
    look_around(model.model.visual)
    return model


def build_image_processor(min_pixels: int, max_pixels: int) -> Qwen2VLImageProcessorPil:
    """The stock image processor for a pixel budget."""
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": min_pixels, "longest_edge": max_pixels},
        patch_size=PATCH, merge_size=MERGE, temporal_patch_size=TEMPORAL,
        image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5],
    )  # fmt: skip


def patchify(pixels: torch.Tensor) -> torch.Tensor:
    """Images of one size, (B, 3, H, W) from -1 to 1, as the image processor would hand them over: (patches,
    patch values).
    """
    patches = cut_patches(pixels, PATCH, MERGE).unsqueeze(3)
    frames = patches.expand(-1, -1, -1, TEMPORAL, -1, -1)
    return frames.reshape(-1, 3 * TEMPORAL * PATCH * PATCH)


def look_around(visual: Any) -> None:
    """Starts the vision tower's heads off as a convolution's taps: each attends to one neighbouring patch.

    A score is q·k after rotation, so biases alone make it a function of the distance between two patches
    that peaks at a chosen one (structured initialisation, arXiv:2404.01139, here through the rotary
    embedding). Without it a small tower spends most of few photographs on finding out what is near.
    """
    frequencies = visual.rotary_pos_emb.inv_freq
    for depth, block in enumerate(visual.blocks):
        attention = block.attn
        half = attention.head_dim // 2
        bias = attention.qkv.bias.detach().view(3, attention.num_heads, attention.head_dim)
        reach, strength = 1 + 0.5 * depth, 4.5 / (1 + 0.35 * depth)
        for head, tap in enumerate(itertools.islice(itertools.cycle(_TAPS), attention.num_heads)):
            if tap is None:
                continue
            for axis, index in itertools.product(range(2), range(3)):
                turn = float(frequencies[index]) * tap[axis] * reach
                at = axis * half // 2 + index
                bias[0, head, at], bias[0, head, at + half] = strength, 0.0
                bias[1, head, at], bias[1, head, at + half] = (
                    strength * math.cos(turn),
                    -strength * math.sin(turn),
                )


# Rows down and columns right of the patch that asks; None: wherever it learns to look.
_TAPS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), None, (-1, -1), (1, 1), (-1, 1), (1, -1))
