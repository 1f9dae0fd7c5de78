"""From questions to tokens and back, and how pixels are normalised.

Image processor, tokenizer and chat template only: the stock processor would also load a video processor,
which needs torchvision. For images the two give the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ostiary_moderation.bundle import BundleError
from ostiary_moderation.engines.qwen3_vl.prompts import ChatFrame, cut, messages

_IMAGE = "<|image_pad|>"


class ImageOnlyProcessor:
    """The stock image processor and tokenizer, without the video processor. Holds no state between calls."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self._image_processor = image_processor
        self._tokenizer = tokenizer

    @property
    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation that a channel's values, 0 to 1, are normalised with."""
        return list(self._image_processor.image_mean), list(self._image_processor.image_std)

    def frame(self, system: str) -> ChatFrame:
        """The conversation for a system text. Raises BundleError when the chat template does not fit."""
        try:
            rendered = self._tokenizer.apply_chat_template(
                messages(system), tokenize=False, add_generation_prompt=True
            )
            return cut(rendered)
        except Exception as error:
            raise BundleError(f"chat template: {error}") from error

    def around_image(self, frame: ChatFrame) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tokens before the image, and tokens between it and a question."""
        before, _, after = frame.before.partition(_IMAGE)
        return self.encode(before), self.encode(after)

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
