"""What the arithmetic alone would take: operations and bytes of one check, and a device's measured speeds.

Counts multiply-adds as two operations. Matches the table of floors that the page's method cites to within 3%:
1024², a description of 80 tokens, B = 64: 35.9 ms; scores only: 28.3 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_BYTES = 2  # bfloat16


@dataclass(frozen=True)
class Device:
    """Speeds that large matrix products and copies reach, measured, not the data sheet's."""

    operations: float  # a second, bfloat16
    bandwidth: float  # bytes a second
    source: str


# By a part of the device's name. Others have no floor: their speeds were not measured.
DEVICES = {"H200": Device(790e12, 4.3e12, "measured on one H200, dense bfloat16 products and copies")}


@dataclass(frozen=True)
class Check:
    """One image with its questions. All in tokens but `patches`."""

    visual: int
    patches: int
    text: int  # before and after the image
    branches: int  # all policy questions together
    describe: int  # the instruction; 0 where no description is wanted
    written: int


def device_of(name: str) -> Device | None:
    """Measured speeds of a device by its name, where there are any."""
    return next((device for part, device in DEVICES.items() if part in name), None)


def vision_operations(config: Any, check: Check) -> float:
    """Vision tower and mergers."""
    vision = config.vision_config
    width, patches = vision.hidden_size, check.patches
    block = 4 * width * width + 2 * width * vision.intermediate_size
    attention = 4 * patches * patches * width
    merged = width * vision.spatial_merge_size**2
    mergers = 1 + len(vision.deepstack_visual_indexes)
    merging = 2 * check.visual * (merged * merged + merged * vision.out_hidden_size) * mergers
    return float(vision.depth * (2 * block * patches + attention) + merging)


def text_weights(config: Any) -> int:
    """Parameters that every token meets, without embeddings and head."""
    text = config.text_config
    heads = (2 * text.num_attention_heads + 2 * text.num_key_value_heads) * text.head_dim
    return int(
        text.num_hidden_layers * (text.hidden_size * heads + 3 * text.hidden_size * text.intermediate_size)
    )


def prefill_operations(config: Any, check: Check) -> float:
    """The text tower over image, questions and instruction, each token once."""
    length = check.visual + check.text + check.branches + check.describe
    return 2.0 * text_weights(config) * length + _attention(config, length) * length / 2


def written_operations(config: Any, check: Check) -> float:
    """All tokens of the description."""
    head = _head(config)
    seen = check.visual + check.text + check.describe + check.written / 2
    return check.written * (2.0 * (text_weights(config) + head) + _attention(config, seen))


def operations(config: Any, check: Check) -> float:
    """Everything that one check needs, where nothing is computed twice."""
    return (
        vision_operations(config, check)
        + prefill_operations(config, check)
        + written_operations(config, check)
    )


def seconds(config: Any, check: Check, batch: int, device: Device) -> float:
    """The floor of one check in a batch: prefill by operations, each decoded token by operations or bytes."""
    prefill = (vision_operations(config, check) + prefill_operations(config, check)) / device.operations
    if not check.written:
        return prefill
    head = _head(config)
    seen = check.visual + check.text + check.describe + check.written / 2
    moved = (text_weights(config) + head) * _BYTES + batch * seen * _cache_bytes(config)
    by_bytes = check.written * moved / device.bandwidth / batch
    return prefill + max(by_bytes, written_operations(config, check) / device.operations)


def _head(config: Any) -> int:
    """Parameters of the head that a decoded token meets."""
    return int(config.text_config.hidden_size * config.text_config.vocab_size)


def _attention(config: Any, length: float) -> float:
    """Operations of one token's attention over `length` others, all layers."""
    text = config.text_config
    return float(4.0 * length * text.num_attention_heads * text.head_dim * text.num_hidden_layers)


def _cache_bytes(config: Any) -> int:
    """Keys and values of one token."""
    text = config.text_config
    return int(2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * _BYTES)
