"""What a model is shown of an image: canonical pixels resized to the bundle's budgets.

Decode workers import this: it needs PIL, and nothing of the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LONGEST = 200  # times the shorter side; the model's image processor refuses more


@dataclass(frozen=True, slots=True)
class PixelRange:
    """How many pixels a view has, at least and at most."""

    min_pixels: int
    max_pixels: int


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """The views that a bundle wants of an image.

    `cell`: side in pixels of what becomes one visual token; a view's sides are multiples of it. `closer`:
    budget of the second look at an image whose first answers are uncertain; None where there is none.
    """

    cell: int
    first: PixelRange
    closer: PixelRange | None = None


@dataclass(frozen=True, eq=False)
class ImageViews:
    """Views of one image, each height × width × 3, sRGB, uint8. `closer` is None where it would show no more
    than `first`.
    """

    first: NDArray[np.uint8]
    closer: NDArray[np.uint8] | None = None


def target_size(height: int, width: int, cell: int, pixels: PixelRange) -> tuple[int, int]:
    """Height and width of a view: multiples of `cell`, within the budget, nearly the image's own shape.

    The same numbers as the stock image processor's. Raises ValueError for sides above 200 : 1.
    """
    if max(height, width) > _LONGEST * min(height, width):
        raise ValueError(f"{width} × {height} pixels: the aspect ratio is above {_LONGEST} : 1")
    rows, columns = round(height / cell), round(width / cell)
    if rows * columns * cell * cell > pixels.max_pixels:
        shrink = math.sqrt(height * width / pixels.max_pixels)
        rows = max(1, math.floor(height / shrink / cell))
        columns = max(1, math.floor(width / shrink / cell))
    elif rows * columns * cell * cell < pixels.min_pixels:
        grow = math.sqrt(pixels.min_pixels / (height * width))
        rows, columns = math.ceil(height * grow / cell), math.ceil(width * grow / cell)
    return rows * cell, columns * cell


def view_sizes(height: int, width: int, spec: ViewSpec) -> tuple[tuple[int, int], ...]:
    """Height and width of the views of an image: the first, and the closer one where it would show more.

    Raises ValueError for sides above 200 : 1.
    """
    first = target_size(height, width, spec.cell, spec.first)
    if spec.closer is None:
        return (first,)
    closer = target_size(height, width, spec.cell, spec.closer)
    return (first, closer) if closer[0] * closer[1] > first[0] * first[1] else (first,)


def make_views(pixels: NDArray[np.uint8], spec: ViewSpec) -> ImageViews:
    """Views of canonical pixels, H × W × 3. Raises ValueError for another shape, or sides above 200 : 1."""
    # Imported here: decode workers make views of what they decoded, and do without numpy.
    import numpy as np

    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ValueError(f"{pixels.shape} {pixels.dtype}; give H × W × 3 of uint8")
    sizes = view_sizes(pixels.shape[0], pixels.shape[1], spec)
    image = Image.fromarray(pixels)
    return ImageViews(*(np.asarray(resized(image, size)) for size in sizes))


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An RGB image at a view's height and width: bicubic, on uint8, as the stock image processor does it.

    One several times as large is first halved, or more, to at least twice the size: within a few levels of
    the same, for a fraction of the time.
    """
    height, width = size
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
