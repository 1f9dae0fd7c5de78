"""The model under measurement: Qwen3-VL-8B's published sizes, or a tiny model of the same architecture.

Weights are random and made on the device: speed does not depend on their values.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

# config.json of Qwen/Qwen3-VL-8B-Instruct.
_TEXT_8B = {
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 262144,
    "rope_parameters": {
        "mrope_interleaved": True,
        "mrope_section": [24, 20, 20],
        "rope_theta": 5_000_000.0,
        "rope_type": "default",
    },
    "bos_token_id": 151643,
    "eos_token_id": 151645,
}
_VISION_8B = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_heads": 16,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "num_position_embeddings": 2304,
    "out_hidden_size": 4096,
    "deepstack_visual_indexes": [8, 16, 24],
}
_MARKS_8B = {
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
}
_TEXT_TINY = {
    **_TEXT_8B,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 512,
    "max_position_embeddings": 4096,
    "rope_parameters": {
        "mrope_interleaved": True,
        "mrope_section": [6, 5, 5],
        "rope_theta": 10_000.0,
        "rope_type": "default",
    },
    "bos_token_id": None,
    "eos_token_id": 2,
}
_VISION_TINY = {
    **_VISION_8B,
    "depth": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_heads": 2,
    "num_position_embeddings": 64,
    "out_hidden_size": 64,
    "deepstack_visual_indexes": [0],
}
_MARKS_TINY = {
    "image_token_id": 5,
    "video_token_id": 6,
    "vision_start_token_id": 3,
    "vision_end_token_id": 4,
}


def configuration(tiny: bool) -> Any:
    """The configuration of the stock classes."""
    text, vision = (_TEXT_TINY, _VISION_TINY) if tiny else (_TEXT_8B, _VISION_8B)
    marks = _MARKS_TINY if tiny else _MARKS_8B
    values: dict[str, Any] = {"text_config": text, "vision_config": vision, **marks}
    return Qwen3VLConfig(**values, tie_word_embeddings=False)


def random_model(config: Any, device: torch.device, dtype: torch.dtype, seed: int) -> Any:
    """A stock model with random weights, the same for the same seed and device."""
    before = torch.get_default_dtype()
    torch.manual_seed(seed)
    torch.set_default_dtype(dtype)
    try:
        with device:
            model: Any = Qwen3VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    model.generation_config.pad_token_id = 0
    return model.eval()
