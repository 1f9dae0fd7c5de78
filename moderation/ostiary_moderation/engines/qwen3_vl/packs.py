"""What is asked about one image, as tokens: a rulebook before it, and branches behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.engines.qwen3_vl.positions import image_prompt_positions, text_positions


@dataclass(frozen=True)
class Branch:
    """A question behind an image. `tokens`: what is fed; `answers`: the tokens whose logits at its end are
    wanted.
    """

    tokens: tuple[int, ...]
    answers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pack:
    """All that one forward pass asks about an image.

    `rulebook`: tokens before the image. `after`: tokens between the image and every branch. `describe`: the
    branch that a description continues; None where none is wanted. `questions`: the others.
    """

    rulebook: tuple[int, ...]
    after: tuple[int, ...]
    describe: Branch | None
    questions: tuple[Branch, ...]

    # A pack is compared for every sequence in line; books keep one object of each.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def branches(self) -> tuple[Branch, ...]:
        """In the order in which they stand behind the image: the description first, so that what follows it
        can be dropped.
        """
        return (self.describe, *self.questions) if self.describe else self.questions

    @property
    def tail(self) -> tuple[int, ...]:
        """Tokens behind the image."""
        return (*self.after, *(token for branch in self.branches for token in branch.tokens))

    @property
    def answers(self) -> tuple[int, ...]:
        """Every token that some question's answer is read from, once."""
        return tuple(dict.fromkeys(token for branch in self.questions for token in branch.answers))

    def prompt(self, image: int) -> int:
        """Tokens that a description continues, with an image of so many."""
        described = len(self.describe.tokens) if self.describe else 0
        return len(self.rulebook) + image + len(self.after) + described

    def columns(self) -> list[NDArray[np.intp]]:
        """For each question, where its answers stand in `answers`."""
        place = {token: index for index, token in enumerate(self.answers)}
        return [np.array([place[token] for token in branch.answers], np.intp) for branch in self.questions]


@dataclass(frozen=True)
class Layout:
    """Where a forward pass's tokens stand: the image's, then a pack's tail. N counts both, R the rulebook.

    `positions`: (3, N), M-RoPE. `mask`: (N, R + N), True where a token sees another. `ends`: (branches,),
    the last token of each branch.
    """

    positions: NDArray[np.int64]
    mask: NDArray[np.bool_]
    ends: NDArray[np.int64]
    next_position: int  # of the description's first token


def lay_out(pack: Pack, rows: int, columns: int) -> Layout:
    """The layout for an image of `rows` × `columns` visual tokens."""
    before = len(pack.rulebook)
    prefix = image_prompt_positions(before, rows, columns, len(pack.after))
    start = int(prefix.max()) + 1
    lengths = [len(branch.tokens) for branch in pack.branches]
    tails = [text_positions(start, length) for length in lengths]
    positions = np.concatenate([prefix[:, before:], *tails], axis=1)
    shared = prefix.shape[1] - before
    mask = np.concatenate(
        [np.ones((shared + sum(lengths), before), np.bool_), branch_mask(shared, lengths)], axis=1
    )
    ends = shared + np.cumsum(lengths, dtype=np.int64) - 1
    return Layout(positions, mask, ends, start + (lengths[0] if pack.describe else 0))


def branch_mask(prefix: int, branches: Sequence[int]) -> NDArray[np.bool_]:
    """Causal within the prefix and within each branch; branches see the prefix and not one another."""
    owner = np.concatenate([np.zeros(prefix, np.int64), *(np.full(n, i + 1) for i, n in enumerate(branches))])
    same = owner[:, None] == owner[None, :]
    causal = np.tril(np.ones((len(owner), len(owner)), np.bool_))
    seen: NDArray[np.bool_] = causal & (same | (owner[None, :] == 0))
    return seen
