"""Looking at an image before any mark is compared with: where one may be, and its ink there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ostiary_moderation.figurative import places
from ostiary_moderation.figurative.networks import Networks
from ostiary_moderation.figurative.view import Box, Floats, Pixels, Window


@dataclass(frozen=True, slots=True)
class Sight:
    """What may be a mark. `ink`: SIDE × SIDE, how likely each pixel of the square view around `box` is ink.
    `direction`: of that shape. `logit`: of how likely something stands there.
    """

    box: Box
    ink: Floats
    direction: Floats
    logit: float

    @property
    def crispness(self) -> float:
        """From 0, where any pixel may or may not be ink, to 1."""
        return float(np.abs(2 * self.ink - 1).mean())


def look(networks: Networks, pixels: Pixels) -> list[Sight]:
    """Everything in an image, height × width × 3, that may be a mark; the likeliest first."""
    image = Image.fromarray(pixels)
    small, scale = places.shrunk(image)
    found = places.found(networks.places(small), scale, image.width, image.height)
    boxed = [(place, box) for place, box in zip(found, _inked(networks, image, found), strict=True) if box]
    if not boxed:
        return []
    windows = [Window.around(box) for _, box in boxed]
    inks = networks.inks(np.stack([window.cut(image) for window in windows]))
    boxes = [window.box(ink) or box for window, ink, (_, box) in zip(windows, inks, boxed, strict=True)]
    directions = networks.shapes(inks)
    return [
        Sight(_within(box, image), ink, direction, place.logit)
        for (place, _), box, ink, direction in zip(boxed, boxes, inks, directions, strict=True)
    ]


def _inked(networks: Networks, image: Image.Image, found: Sequence[places.Place]) -> list[Box | None]:
    """For each place where exactly its ink stands; None where there is none."""
    if not found:
        return []
    windows = [Window.around(place.box) for place in found]
    inks = networks.inks(np.stack([window.cut(image) for window in windows]))
    return [window.box(ink) for window, ink in zip(windows, inks, strict=True)]


def _within(box: Box, image: Image.Image) -> Box:
    left, top = min(max(box.left, 0.0), image.width - 1.0), min(max(box.top, 0.0), image.height - 1.0)
    return Box(
        left, top, max(min(box.right, image.width), left + 1), max(min(box.bottom, image.height), top + 1)
    )
