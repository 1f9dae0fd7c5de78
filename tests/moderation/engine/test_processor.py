"""Prompts are what the stock processor makes, and answers are read as they are meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import Qwen3VLProcessor

from moderation.engine.checkpoints import Parts
from ostiary_moderation.bundle import BundleError
from ostiary_moderation.engines.qwen3_vl.prompts import cut, lettered, messages
from ostiary_moderation.engines.qwen3_vl.questions import choose
from ostiary_moderation.views import ImageViews


class StockProcessor(Qwen3VLProcessor):
    """The stock processor without its video part, which needs torchvision; the code is its own."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor, self.tokenizer, self.video_processor = image_processor, tokenizer, None
        self.chat_template = tokenizer.chat_template
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)


@pytest.mark.parametrize("index", range(4))
def test_prompts_equal_the_stock_processor(
    parts: Parts, pictures: list[NDArray[np.uint8]], views: list[ImageViews], index: int
) -> None:
    """Same tokens, same image mask, same grid, and pixels within one level of 255."""
    pack, budget = parts.pack(), parts.bundle.manifest.pixels
    frame = parts.book.frame("en")
    question = frame.question("Describe the product in English.")
    stock = StockProcessor(parts.processor._image_processor, parts.processor._tokenizer)
    size = {"shortest_edge": budget.min_pixels, "longest_edge": budget.max_pixels}
    theirs = stock(text=[frame.before + question], images=[pictures[index]], size=size, return_tensors="np")
    assert pack.describe is not None
    ours = parts.prompt(views[index].first, pack, pack.describe)
    for name in ("input_ids", "mm_token_type_ids", "image_grid_thw"):
        assert ours[name].tolist() == theirs[name].tolist()
    assert np.abs(ours["pixel_values"].numpy() - theirs["pixel_values"]).max() <= 2 / 255


def test_an_answer_of_two_tokens_is_refused(parts: Parts) -> None:
    """Its probability could not be read from one logit."""
    with pytest.raises(BundleError, match="must be one"):
        parts.processor.single("Yes, certainly")


def test_a_template_that_moves_the_question_is_refused() -> None:
    """The prefix must be the same for every question."""
    with pytest.raises(ValueError, match="right after the image"):
        cut("<<question>><|vision_start|><|image_pad|><|vision_end|>")
    assert [part["role"] for part in messages("s")] == ["system", "user"]


def test_options_are_lettered_one_a_line() -> None:
    """The form that the answers' letters refer to."""
    assert lettered("Which?", ["red", "blue"]) == "Which?\nA red\nB blue"


def test_the_likeliest_letter_wins_with_its_share() -> None:
    """Confidence is the softmax over the letters alone."""
    value = choose("colour", ("red", "blue", "unknown"), np.array([0.0, 2.0, 0.0], np.float32))
    assert value.value == "blue"
    assert value.confidence == pytest.approx(np.exp(2) / (np.exp(2) + 2))


def test_below_the_floor_a_value_is_unknown() -> None:
    """Its confidence is kept, and so is the ranking."""
    logits = np.array([0.0, 2.0, 0.0], np.float32)
    sure = choose("colour", ("red", "blue", "unknown"), logits, floor=0.7)
    unsure = choose("colour", ("red", "blue", "unknown"), logits, floor=0.9)
    assert (sure.value, unsure.value) == ("blue", "unknown")
    assert (unsure.confidence, unsure.ranking) == (sure.confidence, sure.ranking)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_letter_that_is_no_number_is_an_error(bad: float) -> None:
    """NaN must not become a value."""
    with pytest.raises(ArithmeticError, match="colour"):
        choose("colour", ("red", "unknown"), np.array([0.0, bad], np.float32))
