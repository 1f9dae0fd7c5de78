"""Looks as the engine's thread works on them: one sequence per image, and what the answers add up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.engine import AttributeValue, LookRequest, QuestionScore
from ostiary_moderation.engines.qwen3_vl.packs import Pack

STAGES = ("wait", "look", "closer", "describe")


@dataclass(eq=False, slots=True)
class LookWork:
    """One look while it is worked on.

    `tell` hands the outcome to whoever waits, once. `cancelled` may be set by another thread; the engine's
    thread alone touches the rest. Times are `time.monotonic()` seconds.
    """

    request: LookRequest
    language: str  # of the description
    submitted: float
    tell: Callable[[Any], None]
    cancelled: bool = False
    started: bool = False  # its first forward pass is behind it
    unfinished: int = 0  # sequences that have not ended yet
    describing: Sequence | None = None  # whose description is not finished yet
    scores: dict[int, list[QuestionScore]] = field(default_factory=dict)  # by image
    attributes: list[AttributeValue] = field(default_factory=list)
    description: str | None = None
    rejected: bool = False
    told: bool = False
    timings: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def finish(self, outcome: Any) -> None:
        """Tells the outcome, a Look or an exception, unless one was told before."""
        if not self.told:
            self.told = True
            self.tell(outcome)


@dataclass(eq=False, slots=True)
class Sequence:
    """One image of a look. `view`: the pixels to look at now, and `pack`: what is asked about them.

    `describes`: a description is to be written after the questions. `row`: where its keys and values stand
    while it is being written; None otherwise. `written`: the description's tokens so far.
    """

    look: LookWork
    image: int
    view: NDArray[np.uint8]
    pack: Pack
    tokens: int  # of its forward pass, visual and text
    prompt: int  # tokens that its description continues
    describes: bool
    closer: bool = False  # this is the second look
    row: int | None = None
    written: list[int] = field(default_factory=list)

    @property
    def key(self) -> tuple[object, ...]:
        """Sequences of equal keys can share a forward pass."""
        return (self.view.shape, self.pack)

    @property
    def held(self) -> int:
        """Tokens in its row: all but the last that was written."""
        return self.prompt + len(self.written) - 1

    @property
    def wants_row(self) -> bool:
        """Whether a description will be decoded, as far as is known."""
        return self.describes and not self.look.rejected

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.look.cancelled or self.look.told

    @property
    def deadline(self) -> float | None:
        """When nobody will wait for it any more."""
        return self.look.request.deadline
