"""Packed training sequences teach what separate prompts would."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostiary_moderation.bundle import Manifest
from ostiary_moderation.training import library
from ostiary_moderation.training.architecture import (
    build_config,
    build_image_processor,
    build_model,
    patchify,
)
from ostiary_moderation.training.lessons import to_tensor
from ostiary_moderation.training.packing import IGNORE, branch_mask, pack
from ostiary_moderation.training.tokenizer import build_tokenizer


@given(st.integers(1, 6), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_branches_see_the_prefix_and_themselves_only(prefix: int, lengths: list[int]) -> None:
    """Cell by cell against the sentence: earlier, and in the prefix or in the same branch."""
    mask = branch_mask(prefix, lengths)
    owner = [0] * prefix + [index + 1 for index, length in enumerate(lengths) for _ in range(length)]
    for i, of_i in enumerate(owner):
        for j, of_j in enumerate(owner):
            assert mask[i, j] == (j <= i and of_j in (0, of_i))


def test_answers_are_predicted_where_the_question_ends() -> None:
    """Targets stand one place before their token; padding teaches nothing."""
    packed = pack([1], 9, (1, 2), [2], [([5, 6], [[7], [8]]), ([3], [[4, 4, 4], [7]])])
    assert packed.ids[0].tolist() == [1, 9, 9, 2, 5, 6, 3, 4, 4]
    none = [IGNORE] * 5
    assert packed.targets[0].tolist() == [*none, 7, 4, 4, 4]
    assert packed.targets[1].tolist() == [*none, 8, 7, IGNORE, IGNORE]
    assert packed.positions[0].tolist() == [0, 1, 1, 3, 4, 5, 4, 5, 6]


def test_patches_equal_the_image_processors() -> None:
    """What the model learns from is what serving will show it."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 384, 288, 3), dtype=np.uint8)
    stock = build_image_processor(library.MIN_PIXELS, library.MAX_PIXELS)(
        images=list(pixels), return_tensors="pt"
    )
    torch.testing.assert_close(patchify(to_tensor(pixels)), stock["pixel_values"], atol=1e-6, rtol=0)


@torch.inference_mode()
def test_a_packed_forward_equals_separate_ones() -> None:
    """Hidden states at both branches' ends are those of each branch alone behind the prefix."""
    tokenizer = build_tokenizer(Manifest.model_validate(library.manifest("0" * 64, {})), seed=0)
    model = build_model(build_config(tokenizer, width=64), seed=0).eval()
    image = int(tokenizer.convert_tokens_to_ids("<|image_pad|>"))  # type: ignore[arg-type]
    pixels = np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    questions = [[320, 330, 340], [350, 360]]

    def ends(asked: list[list[int]]) -> list[torch.Tensor]:
        packed = pack([300, 301], image, (2, 3), [302], [(question, [[8]]) for question in asked])
        hidden = model.model(
            input_ids=torch.from_numpy(packed.ids),
            attention_mask=torch.from_numpy(packed.mask)[None, None],
            position_ids=torch.from_numpy(packed.positions)[:, None],
            pixel_values=patchify(to_tensor(pixels)),
            image_grid_thw=torch.tensor([[1, 4, 6]]),
        ).last_hidden_state[0]
        return [hidden[index] for index in np.flatnonzero(packed.targets[0] != IGNORE)]

    together = ends(questions)
    for question, end in zip(questions, together, strict=True):
        torch.testing.assert_close(end, ends([question])[0], atol=1e-5, rtol=0)
