"""The image-only processor gives what the stock one gives, and positions are the model's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Qwen3VLProcessor

from ostiary_moderation.bundle import Bundle, BundleError
from ostiary_moderation.engine import ListingText
from ostiary_moderation.engines.qwen3_vl.positions import image_prompt_positions
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.prompts import cut, lettered, messages
from ostiary_moderation.engines.qwen3_vl.questions import QuestionBook, choose
from ostiary_moderation.views import make_views


class StockProcessor(Qwen3VLProcessor):
    """The stock processor without its video part, which needs torchvision; the code is its own."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor, self.tokenizer, self.video_processor = image_processor, tokenizer, None
        self.chat_template = tokenizer.chat_template
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)


@pytest.mark.parametrize("index", range(4))
def test_prefix_equals_the_stock_processor(
    processor: ImageOnlyProcessor, tiny: Bundle, pictures: list[NDArray[np.uint8]], index: int
) -> None:
    """Same tokens, same image mask, same grid, and pixels within one level of 255."""
    frame = QuestionBook(tiny.manifest, processor).frame(ListingText())
    question = frame.question("Is there a QR code?")
    prefix = processor.prefix(make_views(pictures[index], tiny.view_spec).first, frame)
    stock = StockProcessor(processor._image_processor, processor._tokenizer)
    size = {"shortest_edge": tiny.manifest.pixels.min_pixels, "longest_edge": tiny.manifest.pixels.max_pixels}
    theirs = stock(text=[frame.before + question], images=[pictures[index]], size=size, return_tensors="np")
    ours = [*prefix.ids.tolist(), *processor.encode(question)]
    assert ours == theirs["input_ids"][0].tolist()
    assert prefix.image_mask.tolist() == theirs["mm_token_type_ids"][0][: len(prefix.ids)].tolist()
    assert prefix.grid == tuple(theirs["image_grid_thw"][0])
    assert np.abs(prefix.patches - theirs["pixel_values"]).max() <= 2 / 255


@pytest.mark.parametrize("grid", [(1, 1), (9, 7), (7, 9), (3, 20)])
def test_positions_equal_the_models_own(model: Any, grid: tuple[int, int]) -> None:
    """Computed from the grid alone, they are what the model computes from the whole prompt."""
    before, after = 5, 4
    types = torch.tensor([[0] * before + [1] * (grid[0] * grid[1]) + [0] * after])
    expected, _ = model.model.get_rope_index(
        torch.zeros_like(types), types, image_grid_thw=torch.tensor([[1, 2 * grid[0], 2 * grid[1]]])
    )
    np.testing.assert_array_equal(image_prompt_positions(before, *grid, after), expected[:, 0].numpy())


def test_pixels_stay_inside_the_budget(processor: ImageOnlyProcessor, tiny: Bundle) -> None:
    """A large photograph becomes no more visual tokens than the manifest allows."""
    frame = QuestionBook(tiny.manifest, processor).frame(ListingText())
    view = make_views(np.zeros((1600, 1200, 3), np.uint8), tiny.view_spec).first
    prefix = processor.prefix(view, frame)
    assert prefix.image_mask.sum() * 1024 <= tiny.manifest.pixels.max_pixels


def test_an_answer_of_two_tokens_is_refused(processor: ImageOnlyProcessor) -> None:
    """Its probability could not be read from one logit."""
    with pytest.raises(BundleError, match="must be one"):
        processor.single("Yes, certainly")


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
