"""One prefill and branches on its cache give what separate, whole forward passes of the stock class give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Qwen3VLForConditionalGeneration

from ostiary_moderation.bundle import Bundle
from ostiary_moderation.engine import ListingText
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor, Prefix
from ostiary_moderation.engines.qwen3_vl.questions import Branch, QuestionBook
from ostiary_moderation.engines.qwen3_vl.runner import Runner
from ostiary_moderation.views import ImageViews

Views = list[ImageViews]


@pytest.fixture(scope="module")
def stock(tiny: Bundle) -> Qwen3VLForConditionalGeneration:
    """The stock class on the same files, nothing replaced in it."""
    return Qwen3VLForConditionalGeneration.from_pretrained(tiny.folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def book(tiny: Bundle, processor: ImageOnlyProcessor) -> QuestionBook:
    """The bundle's questions in tokens."""
    return QuestionBook(tiny.manifest, processor)


def branches(book: QuestionBook) -> list[Branch]:
    """Every branch of a look, policy questions and attributes."""
    listing = ListingText()
    frame = book.frame(listing)
    return book.policy_branches(listing, frame) + book.attribute_branches(listing, frame)


def stock_inputs(prefix: Prefix, tokens: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """A whole prompt as the stock class takes it, positions left to itself."""
    ids = np.concatenate([prefix.ids, np.array(tokens)])
    types = np.concatenate([prefix.image_mask, np.zeros(len(tokens), np.int64)])
    return {
        "input_ids": torch.from_numpy(ids)[None],
        "mm_token_type_ids": torch.from_numpy(types)[None],
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "pixel_values": torch.from_numpy(prefix.patches),
        "image_grid_thw": torch.tensor([prefix.grid]),
    }


@torch.inference_mode()
def alone(stock: Any, prefix: Prefix, branch: Branch) -> NDArray[np.float32]:
    """Logits of a branch's answers from a forward pass of its own."""
    stock.model.rope_deltas = None
    logits = stock(**stock_inputs(prefix, branch.tokens)).logits[0, -1]
    return logits[list(branch.answers)].numpy()


def nobody_cancels() -> None:
    """A checkpoint that never stops."""


@pytest.mark.parametrize("index", range(4))
def test_branches_equal_separate_forward_passes(
    stock: Any,
    runner: Runner,
    processor: ImageOnlyProcessor,
    book: QuestionBook,
    views: Views,
    index: int,
) -> None:
    """P(yes) and the letters' shares agree within 1e-4, for every question on every grid."""
    prefix = processor.prefix(views[index].first, book.frame(ListingText()))
    asked = branches(book)
    together = runner.score(runner.prefill(prefix), asked, nobody_cancels)
    for branch, logits in zip(asked, together, strict=True):
        expected = alone(stock, prefix, branch)
        assert np.abs(expected).max() > 0.05  # the comparison is between numbers, not between zeros
        np.testing.assert_allclose(softmax(logits), softmax(expected), atol=1e-4)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shares of the answers among themselves; of two it is P(yes) and P(no)."""
    weights: NDArray[np.float32] = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("index", range(3))
def test_greedy_description_equals_generate(
    stock: Any,
    runner: Runner,
    processor: ImageOnlyProcessor,
    book: QuestionBook,
    views: Views,
    index: int,
    language: str,
) -> None:
    """After scoring on the same cache, decoding writes token for token what the stock `generate` writes."""
    frame = book.frame(ListingText())
    prefix = processor.prefix(views[index].first, frame)
    tokens = book.describe_tokens(language, frame)
    prefilled = runner.prefill(prefix)
    runner.score(prefilled, branches(book), nobody_cancels)
    written = runner.decode(prefilled, tokens, 12, runner.stop_tokens, nobody_cancels)
    stock.model.rope_deltas = None
    inputs = stock_inputs(prefix, tokens)
    generated = stock.generate(**inputs, max_new_tokens=12, do_sample=False)[
        0, inputs["input_ids"].shape[1] :
    ]
    expected = [token for token in generated.tolist() if token not in runner.stop_tokens]
    assert written == expected
    assert written


def test_interleaved_images_answer_as_alone(
    runner: Runner, processor: ImageOnlyProcessor, book: QuestionBook, views: Views
) -> None:
    """Two images of different grids prefilled first and asked in turns give what each gives by itself."""
    frame = book.frame(ListingText())
    prefixes = [processor.prefix(view.first, frame) for view in views[:2]]
    assert prefixes[0].grid != prefixes[1].grid
    asked = branches(book)
    single = [runner.score(runner.prefill(prefix), asked, nobody_cancels) for prefix in prefixes]
    first, second = (runner.prefill(prefix) for prefix in prefixes)
    turns: list[list[NDArray[np.float32]]] = [[], []]
    for branch in asked:
        turns[0] += runner.score(first, [branch], nobody_cancels)
        turns[1] += runner.score(second, [branch], nobody_cancels)
    for mixed, expected in zip(turns, single, strict=True):
        for got, wanted in zip(mixed, expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_the_models_own_position_state_is_not_used(
    model: Any, runner: Runner, processor: ImageOnlyProcessor, book: QuestionBook, views: Views
) -> None:
    """Poisoning `rope_deltas` between prefill and branch changes nothing."""
    prefix = processor.prefix(views[0].first, book.frame(ListingText()))
    asked = branches(book)[:1]
    expected = runner.score(runner.prefill(prefix), asked, nobody_cancels)
    prefilled = runner.prefill(prefix)
    model.model.rope_deltas = torch.tensor([[977]])
    poisoned = runner.score(prefilled, asked, nobody_cancels)
    model.model.rope_deltas = None
    np.testing.assert_array_equal(poisoned[0], expected[0])


class StopError(Exception):
    """What a checkpoint raises in these tests."""


def test_stopping_leaves_the_cache_as_it_was(
    runner: Runner, processor: ImageOnlyProcessor, book: QuestionBook, views: Views
) -> None:
    """A description stopped half-way is cropped off, and the next question is answered as ever."""
    frame = book.frame(ListingText())
    prefilled = runner.prefill(processor.prefix(views[0].first, frame))
    asked = branches(book)[:1]
    expected = runner.score(prefilled, asked, nobody_cancels)
    countdown = iter([None, None])

    def stop_at_the_third() -> None:
        try:
            next(countdown)
        except StopIteration:
            raise StopError from None

    with pytest.raises(StopError):
        runner.decode(prefilled, book.describe_tokens("en", frame), 12, frozenset(), stop_at_the_third)
    assert prefilled.cache.get_seq_length() == prefilled.length
    np.testing.assert_array_equal(runner.score(prefilled, asked, nobody_cancels)[0], expected[0])


def test_a_stop_token_ends_the_description(
    runner: Runner, processor: ImageOnlyProcessor, book: QuestionBook, views: Views
) -> None:
    """Declaring the third token of a description a stop token leaves the two before it."""
    frame = book.frame(ListingText())
    prefilled = runner.prefill(processor.prefix(views[0].first, frame))
    tokens = book.describe_tokens("en", frame)
    free = runner.decode(prefilled, tokens, 6, frozenset(), nobody_cancels)
    ended = runner.decode(prefilled, tokens, 6, frozenset({free[2]}), nobody_cancels)
    assert ended == free[: free.index(free[2])]
