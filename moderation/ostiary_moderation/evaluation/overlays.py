"""What is drawn over photographs to measure policies by: the contract, free of how it is drawn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.evaluation.photos import LabelledPhoto


class Overlays(Protocol):
    """Draws over photographs. Nothing of it may be prohibited but what was asked for."""

    @property
    def kinds(self) -> Sequence[str]:
        """Policy labels that it can draw, such as `qr_code`."""
        ...

    def untouched(self, photo: LabelledPhoto) -> NDArray[np.uint8]:
        """The photograph itself: H × W × 3, sRGB."""
        ...

    def draw(self, rng: random.Random, photo: LabelledPhoto, kind: str | None) -> NDArray[np.uint8]:
        """The photograph with an overlay of one kind; with a benign one (slogan, size, price) for None."""
        ...
