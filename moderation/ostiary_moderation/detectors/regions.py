"""Boxes in canonical pixels."""

import math
from collections.abc import Iterable

from ostiary.v1.image_pb2 import Box, Region
from ostiary_moderation.detector import DecodedImage


def region(image: DecodedImage, points: Iterable[tuple[float, float]]) -> Region:
    """Return the upright rectangle around points (x, y) of the frame, clipped to it, never empty."""
    xs, ys = zip(*points, strict=True)
    height, width = image.pixels.shape[:2]
    left, right = _span(xs, width)
    top, bottom = _span(ys, height)
    box = Box(x=left, y=top, width=right - left, height=bottom - top)
    return Region(image_index=image.index, box=box, frame=image.frame)


def _span(values: Iterable[float], size: int) -> tuple[int, int]:
    ordered = sorted(values)
    low = min(max(math.floor(ordered[0]), 0), size - 1)
    return low, min(max(math.ceil(ordered[-1]), low + 1), size)
