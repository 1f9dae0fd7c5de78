"""The embedded model's size. The architecture is Qwen3-VL's own, from transformers; only the numbers are
small.
"""

from __future__ import annotations

import torch
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

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
    """A model with random weights, the same for the same seed."""
    torch.manual_seed(seed)
    return Qwen3VLForConditionalGeneration(config)


def build_image_processor(min_pixels: int, max_pixels: int) -> Qwen2VLImageProcessorPil:
    """The stock image processor for a pixel budget."""
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": min_pixels, "longest_edge": max_pixels},
        patch_size=PATCH, merge_size=MERGE, temporal_patch_size=TEMPORAL,
        image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5],
    )  # fmt: skip


def patchify(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 images of one size, B × H × W × 3, as the image processor would hand them over: (patches, patch
    values).
    """
    batch, height, width, _ = pixels.shape
    values = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    cells = values.reshape(batch, 3, height // CELL, MERGE, PATCH, width // CELL, MERGE, PATCH)
    ordered = cells.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6)
    frames = ordered.expand(*ordered.shape[:6], TEMPORAL, PATCH, PATCH)
    return frames.reshape(batch * (height // PATCH) * (width // PATCH), -1)
