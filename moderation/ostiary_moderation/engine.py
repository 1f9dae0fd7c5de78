"""What a pod asks of a model: look at images once, answer everything that the bundle can answer about
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ostiary_moderation.views import ImageViews, ViewSpec


@dataclass(frozen=True)
class ListingText:
    """The words beside the images. `language` is BCP 47, of the description wanted."""

    title: str = ""
    description: str = ""
    category: str = ""
    language: str = "en"


@dataclass(frozen=True)
class LookRequest:
    """Images of one check and what is wanted of them.

    `images`: views made with the engine's `view_spec`; at least one image. `deadline`: `time.monotonic()`
    seconds after which nobody waits for the answer. `describe_rejected`: describe the product even where a
    question's answer is a certain reject.
    """

    images: Sequence[ImageViews]
    listing: ListingText = field(default_factory=ListingText)
    flags: bool = True
    description: bool = True
    attributes: bool = True
    deadline: float | None = None
    describe_rejected: bool = False


@dataclass(frozen=True)
class QuestionScore:
    """One policy question on one image.

    `margin`: logit(yes) - logit(no), raw. `probability`: calibrated, 0 to 1. `image_index`: into
    `LookRequest.images`.
    """

    policy: str
    label: str
    question: str
    image_index: int
    probability: float
    margin: float


@dataclass(frozen=True)
class AttributeValue:
    """A value from the bundle's list. `confidence`: its probability, 0 to 1; 0 where the bundle cannot see
    it. `ranking`: all values with their probabilities, the likeliest first; empty where it cannot.
    """

    name: str
    value: str
    confidence: float
    ranking: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Look:
    """What was seen.

    `scores`: every question on every image, empty unless flags were wanted. `attributes`: all eight names,
    in the bundle's order, empty unless wanted. `description`: None unless wanted and the bundle can, and on
    a certain reject. `timings`: seconds of `wait` (before its first forward pass), `look` (passes that
    answered its questions), `closer` (second looks), `describe`.
    """

    scores: tuple[QuestionScore, ...]
    attributes: tuple[AttributeValue, ...]
    description: str | None
    language: str
    timings: Mapping[str, float]


class LookFailedError(RuntimeError):
    """A look that got no answer, through no fault of its images."""


class LookExpiredError(LookFailedError):
    """The look's deadline passed before it was answered."""


class OutOfMemoryError(LookFailedError):
    """One image of the look, alone in its batch, does not fit into memory."""


@dataclass(frozen=True)
class EngineLoad:
    """What an engine has to do. `waiting`: images not looked at yet; `running`: descriptions being written;
    `memory_splits`: batches split since the start because memory ran out.
    """

    waiting: int
    running: int
    memory_splits: int


class Engine(Protocol):
    """A loaded model. `look` may be called concurrently; cancelling it stops the work between two forward
    passes.
    """

    @property
    def view_spec(self) -> ViewSpec:
        """The views that `look` takes."""
        ...

    async def look(self, request: LookRequest) -> Look:
        """Looks at the images.

        Raises:
            ValueError: no image, or a view of a wrong shape.
            LookExpiredError: the deadline passed.
            OutOfMemoryError: an image does not fit into memory.
            LookFailedError: the model failed, or the engine is closed.
        """
        ...

    def load(self) -> EngineLoad:
        """What there is to do now. Any thread may ask."""
        ...

    async def close(self) -> None:
        """Stops the work in hand and frees the model. Idempotent."""
        ...
