"""A registered mark: its shape, read from the image that was uploaded."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ostiary_moderation.figurative.view import FILLED, SIDE, Floats

MAX_BYTES = 1 << 20
MAX_SIDE = 4096
_LEAST_SIDE = 24
_WORK = 384
_OPAQUE = 250
_FAINT = 40.0
_FULL, _NEXT_TO_NOTHING = 0.93, 0.03


class UnusableError(ValueError):
    """A mark that cannot be compared with; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`shape`: SIDE × SIDE, 0 to 1, in the square view."""

    brand: str
    reference_id: str
    shape: Floats


def read_mark(brand: str, reference_id: str, image: bytes) -> Mark:
    """Read the PNG of a mark. Raises UnusableError."""
    if len(image) > MAX_BYTES:
        raise UnusableError(f"the image has {len(image)} bytes: give at most {MAX_BYTES}")
    try:
        with Image.open(io.BytesIO(image), formats=("PNG",)) as opened:
            if max(opened.size) > MAX_SIDE:
                raise UnusableError(
                    f"the image is {opened.width} × {opened.height}: {MAX_SIDE} a side is most"
                )
            if min(opened.size) < _LEAST_SIDE:
                raise UnusableError(
                    f"the image is {opened.width} × {opened.height}: give at least {_LEAST_SIDE} a side"
                )
            opened.load()
            opened.thumbnail((_WORK, _WORK), Image.Resampling.LANCZOS)
            pixels = np.asarray(opened.convert("RGBA"), np.float32)
    except UnusableError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnusableError("the image is no PNG that can be read: export it again") from error
    return Mark(brand, reference_id, _checked(_upright(_ink(pixels))))


def _ink(pixels: Floats) -> Floats:
    """What is not background: what is opaque, or else what differs from the colour along the edges."""
    alpha = pixels[..., 3]
    if (alpha < _OPAQUE).mean() > 0.02:
        opaque: Floats = alpha / 255.0
        return opaque
    colours = pixels[..., :3]
    edge = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]])
    ground = np.median(edge, axis=0)
    if np.abs(edge - ground).max(axis=1).mean() > _FAINT:
        raise UnusableError("its background is not plain: cut the mark out, on one colour or on transparency")
    apart = np.abs(colours - ground).max(axis=2)
    strongest = float(np.quantile(apart, 0.995))
    if strongest < _FAINT:
        raise UnusableError("nothing stands out from its background: give it more contrast")
    ink: Floats = np.clip(apart / (0.6 * strongest), 0, 1)
    return ink


def _upright(ink: Floats) -> Floats:
    """The ink in the square view."""
    shown = np.argwhere(ink > 0.4)
    if not len(shown):
        raise UnusableError("there is nothing on it: give an image of the mark")
    (top, left), (bottom, right) = shown.min(axis=0), shown.max(axis=0) + 1
    side = max(bottom - top, right - left) / FILLED
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    margin = int(np.ceil(side))
    grown = Image.fromarray(np.pad(np.round(ink * 255).astype(np.uint8), margin))
    where = (x + margin, y + margin, x + margin + side, y + margin + side)
    return np.asarray(grown.resize((SIDE, SIDE), Image.Resampling.BOX, where), np.float32) / 255.0


def _checked(shape: Floats) -> Floats:
    """The shape, where it has one. Raises UnusableError for a plain patch and for next to nothing."""
    rows, columns = np.flatnonzero(shape.max(axis=1) > 0.3), np.flatnonzero(shape.max(axis=0) > 0.3)
    if not len(rows) or not len(columns):
        raise UnusableError("its lines are too fine to be seen: draw them thicker")
    inside: NDArray[np.float32] = shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    covered = float(inside.mean())
    if covered > _FULL:
        raise UnusableError(
            "it is a plain rectangle, which stands on too many things: give the shape within it alone"
        )
    if covered < _NEXT_TO_NOTHING:
        raise UnusableError("next to nothing of it is ink: draw it thicker, or crop it to the mark")
    if min(len(rows), len(columns)) < 4:
        raise UnusableError("it is a line, which stands on too many things: register its words instead")
    return shape
