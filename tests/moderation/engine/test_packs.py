"""Layouts of one forward pass: who sees whom, and where everything stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from moderation.engine.checkpoints import EVERYTHING, Parts
from ostiary_moderation.engine import ListingText
from ostiary_moderation.engines.qwen3_vl.packs import Branch, Pack, lay_out
from ostiary_moderation.engines.qwen3_vl.positions import image_prompt_positions
from ostiary_moderation.engines.qwen3_vl.questions import Wants

PACK = Pack((1, 2), (3,), Branch((10, 11)), (Branch((20, 21, 22), (7, 8)), Branch((30,), (8, 9))))


@pytest.mark.parametrize("grid", [(1, 1), (9, 7), (7, 9), (3, 20)])
def test_positions_equal_the_models_own(parts: Parts, grid: tuple[int, int]) -> None:
    """Computed from the grid alone, they are what the model computes from the whole prompt."""
    before, after = 5, 4
    types = torch.tensor([[0] * before + [1] * (grid[0] * grid[1]) + [0] * after])
    stock: Any = parts.stock.model
    expected, _ = stock.get_rope_index(
        torch.zeros_like(types), types, image_grid_thw=torch.tensor([[1, 2 * grid[0], 2 * grid[1]]])
    )
    np.testing.assert_array_equal(image_prompt_positions(before, *grid, after), expected[:, 0].numpy())


def test_branches_see_the_image_and_not_one_another() -> None:
    """Rulebook, image and what follows it are causal for all; each branch is causal in itself."""
    layout = lay_out(PACK, 1, 2)  # 2 rulebook tokens, 2 of the image, 1 after it, branches of 2, 3 and 1
    picture = ["".join(".#"[int(seen)] for seen in row) for row in layout.mask]
    assert picture == [
        "###........",
        "####.......",
        "#####......",
        "######.....",
        "#######....",
        "#####..#...",
        "#####..##..",
        "#####..###.",
        "#####.....#",
    ]


def test_every_branch_starts_at_the_same_position() -> None:
    """Right behind the image and what follows it; a description goes on behind its own branch."""
    layout = lay_out(PACK, 1, 2)
    assert layout.positions[0].tolist() == [2, 2, 4, 5, 6, 5, 6, 7, 5]
    assert layout.positions[2].tolist() == [2, 3, 4, 5, 6, 5, 6, 7, 5]
    assert layout.ends.tolist() == [4, 7, 8]
    assert layout.next_position == 7


def test_answers_are_read_once_and_found_again() -> None:
    """Tokens that several questions share stand once among the rows of the head."""
    assert PACK.answers == (7, 8, 9)
    assert [columns.tolist() for columns in PACK.columns()] == [[0, 1], [1, 2]]
    assert PACK.prompt(2) == 2 + 2 + 1 + 2


@pytest.mark.parametrize(
    ("wants", "questions", "describes"),
    [
        pytest.param(EVERYTHING, "policies and attributes", True, id="everything"),
        pytest.param(Wants(True, False, None), "policies", False, id="flags"),
        pytest.param(Wants(False, True, None), "attributes", False, id="attributes"),
        pytest.param(Wants(False, False, "zh"), "none", True, id="a description"),
    ],
)
def test_only_what_is_wanted_is_asked(parts: Parts, wants: Wants, questions: str, describes: bool) -> None:
    """Two policy questions, an attribute question for each that the bundle can see, a description."""
    attributes = sum(len(values) > 1 for values in parts.bundle.manifest.attributes.values())
    count = {"policies": 2, "attributes": attributes, "none": 0, "policies and attributes": 2 + attributes}
    pack = parts.pack(wants)
    assert len(pack.questions) == count[questions]
    assert (pack.describe is not None) is describes


def test_equal_questions_are_one_pack(parts: Parts) -> None:
    """Listings that lead to the same tokens can share a forward pass, whatever they call their category."""
    one = parts.pack(EVERYTHING, ListingText(category="hats", language="en"))
    other = parts.pack(EVERYTHING, ListingText(category="Women > Dresses", language="en-GB"))
    assert one is other
    assert one is not parts.pack(Wants(True, True, "zh"))
