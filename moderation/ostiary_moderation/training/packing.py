"""Training sequences: one image prefix and several questions packed behind it, each blind to the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.engines.qwen3_vl.packs import branch_mask
from ostiary_moderation.engines.qwen3_vl.positions import image_prompt_positions, text_positions

IGNORE = -100


@dataclass(frozen=True)
class Pack:
    """A batch's token layout. `ids` and `targets`: (batch, length); `positions`: (3, length); `mask`:
    (length, length).

    `targets[i, j]` is the token to predict after position j, IGNORE where nothing is learnt. True in
    `mask`: may see.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    positions: NDArray[np.int64]
    mask: NDArray[np.bool_]


def pack(
    before: Sequence[int],
    image_token: int,
    grid: tuple[int, int],
    after: Sequence[int],
    branches: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]],
) -> Pack:
    """Packs branches behind the prefix `before + image + after`.

    `grid`: merged rows and columns. A branch is its question's tokens and, per example, the answer's tokens.
    """
    prefix = [*before, *([image_token] * (grid[0] * grid[1])), *after]
    positions = image_prompt_positions(len(before), *grid, len(after))
    start = int(positions.max()) + 1
    blocks = [_block(question, answers) for question, answers in branches]
    batch = blocks[0][0].shape[0]
    ids = np.concatenate(
        [np.tile(np.array(prefix, np.int64), (batch, 1)), *(block[0] for block in blocks)], axis=1
    )
    blank = np.full((batch, len(prefix)), IGNORE, np.int64)
    targets = np.concatenate([blank, *(block[1] for block in blocks)], axis=1)
    lengths = [block[0].shape[1] for block in blocks]
    tail = [text_positions(start, length) for length in lengths]
    return Pack(ids, targets, np.concatenate([positions, *tail], axis=1), branch_mask(len(prefix), lengths))


def _block(
    question: Sequence[int], answers: Sequence[Sequence[int]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and targets of one branch, padded to the longest answer; the last answer token is predicted,
    never fed.
    """
    longest = max(len(answer) for answer in answers)
    shape = (len(answers), len(question) + longest - 1)
    ids, targets = np.zeros(shape, np.int64), np.full(shape, IGNORE, np.int64)
    ids[:, : len(question)] = question
    for row, answer in enumerate(answers):
        ids[row, len(question) : len(question) + len(answer) - 1] = answer[:-1]
        targets[row, len(question) - 1 : len(question) - 1 + len(answer)] = answer
    return ids, targets
