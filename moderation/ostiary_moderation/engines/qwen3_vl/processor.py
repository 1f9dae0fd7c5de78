"""From canonical pixels to what the model takes, and from questions to tokens.

Image processor, tokenizer and chat template only: the stock processor would also load a video processor,
which needs torchvision. For images the two give the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.bundle import BundleError, PixelBudget
from ostiary_moderation.engines.qwen3_vl.positions import image_prompt_positions
from ostiary_moderation.engines.qwen3_vl.prompts import ChatFrame, cut, messages
from ostiary_moderation.views import PixelRange, ViewSpec

_IMAGE = "<|image_pad|>"


@dataclass(frozen=True)
class Prefix:
    """One image with the text before it, ready for the prefill.

    `ids`: (tokens,) int64. `image_mask`: (tokens,) int64, 1 for image tokens. `positions`: (3, tokens),
    M-RoPE. `patches`: (patches, values) float32. `grid`: (frames, rows, columns) of patches, before merging.
    """

    ids: NDArray[np.int64]
    image_mask: NDArray[np.int64]
    positions: NDArray[np.int64]
    patches: NDArray[np.float32]
    grid: tuple[int, int, int]

    @property
    def next_position(self) -> int:
        """Position of the first token after the prefix."""
        return int(self.positions.max()) + 1


class ImageOnlyProcessor:
    """The stock image processor and tokenizer, without the video processor. Holds no state between calls."""

    def __init__(self, image_processor: Any, tokenizer: Any, pixels: PixelBudget) -> None:
        self._image_processor = image_processor
        self._tokenizer = tokenizer
        self._range = PixelRange(pixels.min_pixels, pixels.max_pixels)
        self._image_token = int(tokenizer.convert_tokens_to_ids(_IMAGE))
        self._merge = int(image_processor.merge_size)

    @property
    def view_spec(self) -> ViewSpec:
        """The first look's views."""
        return ViewSpec(int(self._image_processor.patch_size) * self._merge, self._range)

    def frame(self, system: str) -> ChatFrame:
        """The conversation for a system text. Raises BundleError when the chat template does not fit."""
        try:
            rendered = self._tokenizer.apply_chat_template(
                messages(system), tokenize=False, add_generation_prompt=True
            )
            return cut(rendered)
        except Exception as error:
            raise BundleError(f"chat template: {error}") from error

    def prefix(self, pixels: NDArray[np.uint8], frame: ChatFrame) -> Prefix:
        """Normalises a view, H × W × 3, and cuts it into patches."""
        features = self._image_processor(images=[pixels], do_resize=False, return_tensors="np")
        frames, rows, columns = (int(value) for value in features["image_grid_thw"][0])
        before, _, after = frame.before.partition(_IMAGE)
        head, tail = self.encode(before), self.encode(after)
        merged = (rows // self._merge, columns // self._merge)
        image = [self._image_token] * (merged[0] * merged[1])
        ids = np.array([*head, *image, *tail], dtype=np.int64)
        mask = np.zeros_like(ids)
        mask[len(head) : len(head) + len(image)] = 1
        positions = image_prompt_positions(len(head), *merged, len(tail))
        return Prefix(ids, mask, positions, features["pixel_values"], (frames, rows, columns))

    def encode(self, text: str) -> tuple[int, ...]:
        """Tokens of a text; special tokens written in it count as such."""
        return tuple(int(token) for token in self._tokenizer.encode(text, add_special_tokens=False))

    def single(self, text: str) -> int:
        """The token that a text is. Raises BundleError when it is not exactly one."""
        tokens = self.encode(text)
        if len(tokens) != 1:
            raise BundleError(
                f"answer {text!r} is {len(tokens)} tokens of this tokenizer; every answer must be one"
            )
        return tokens[0]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of generated tokens, without special ones."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True)).strip()
