"""What a pod asks of a model: look at images once, answer everything that the bundle can answer about
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


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

    `images`: canonical pixels, each H × W × 3, sRGB, uint8; at least one.
    """

    images: Sequence[NDArray[np.uint8]]
    listing: ListingText = field(default_factory=ListingText)
    flags: bool = True
    description: bool = True
    attributes: bool = True


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
    it.
    """

    name: str
    value: str
    confidence: float


@dataclass(frozen=True)
class Look:
    """What was seen.

    `scores`: every question on every image, empty unless flags were wanted. `attributes`: all eight names,
    in the bundle's order, empty unless wanted. `description`: None unless wanted and the bundle can.
    `timings`: seconds of `prefill`, `score` and `describe`.
    """

    scores: tuple[QuestionScore, ...]
    attributes: tuple[AttributeValue, ...]
    description: str | None
    language: str
    timings: Mapping[str, float]


class Engine(Protocol):
    """A loaded model. `look` may be called concurrently; cancelling it stops the work between two forward
    passes.
    """

    async def look(self, request: LookRequest) -> Look:
        """Looks at the images. Raises ValueError for no image or a wrong shape, RuntimeError once closed."""
        ...

    async def close(self) -> None:
        """Stops the work in hand and frees the model. Idempotent."""
        ...
