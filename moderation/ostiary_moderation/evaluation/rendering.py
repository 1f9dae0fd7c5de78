"""The overlays that training draws, put behind the contract of an evaluation."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.evaluation.photos import LabelledPhoto, open_upright
from ostiary_moderation.training.lettering import chinese_fonts
from ostiary_moderation.training.photos import Photo
from ostiary_moderation.training.scenes import Recipe, make_scene

_KINDS = ("qr_code", "contact_details")
_BENIGN = ("note", "garment", "lookalike")


class RenderedOverlays:
    """Overlays as training renders them, over photographs that are not varied otherwise.

    Raises ValueError, in words, where the fonts are not installed.
    """

    kinds: Sequence[str] = _KINDS

    def __init__(self) -> None:
        chinese_fonts()

    def untouched(self, photo: LabelledPhoto) -> NDArray[np.uint8]:
        """The photograph itself."""
        return open_upright(photo.path)

    def draw(self, rng: random.Random, photo: LabelledPhoto, kind: str | None) -> NDArray[np.uint8]:
        """One overlay of the kind, or one benign overlay; now and then a benign one beside it."""
        often = dict.fromkeys(_BENIGN, 0.2)
        often[kind or rng.choice(_BENIGN)] = 1.0
        recipe = Recipe(
            qr_code=often.get("qr_code", 0.0),
            contact_details=often.get("contact_details", 0.0),
            note=often["note"],
            garment=often["garment"],
            lookalike=often["lookalike"],
            vary=False,
        )
        return np.asarray(make_scene(rng, _subject(photo), recipe).image)


def _subject(photo: LabelledPhoto) -> Photo:
    names = ("category", "colour", "pattern", "audience")
    labels = {name: photo.labels.get(name, "") for name in names}
    return Photo(path=photo.path, sender=photo.sender, **labels)
