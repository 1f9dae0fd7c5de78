"""PDQ, the perceptual hash of 256 bits, over pixels that are in memory. Pure.

As published by Meta ("TMK+PDQF and PDQ", hashing/hashing.pdf in https://github.com/facebook/ThreatExchange):
luma, a tent filter down to 64 × 64, the lowest 16 × 16 frequencies of its cosine transform but for the
constant ones, and one bit for each that is above their median. The filter is linear and separable, so a
matrix for the rows and one for the columns do at once what the published code does pass by pass; a bit whose
frequency is within rounding of the median may differ from it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MIN_SIDE = 5
"""Shorter sides, in pixels, have no hash: it is all zeros, of quality 0."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SMALL = 64
_FREQUENCIES = 16
_PASSES = 2
_ROWS_AT_ONCE = 256  # keeps the copy in floats of a large image at a few megabytes


@dataclass(frozen=True, slots=True)
class Pdq:
    """A hash of 32 bytes, most significant bit first, and its quality from 0 to 100."""

    hash: bytes
    quality: int


def pdq(pixels: NDArray[np.uint8]) -> Pdq:
    """The PDQ hash of an image, height × width × 3, sRGB."""
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        return Pdq(bytes(32), 0)
    small = _shrink(pixels)
    transformed = np.asarray(_DCT @ small @ _DCT.T, np.float32)
    return Pdq(_bits(transformed), _quality(small))


def _shrink(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luma, filtered and sampled: 64 × 64, from 0 to 255."""
    height, width = pixels.shape[:2]
    down, across = _tent(height), _tent(width).T
    small = np.zeros((_SMALL, _SMALL), np.float32)
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = slice(top, min(top + _ROWS_AT_ONCE, height))
        small += down[:, rows] @ ((pixels[rows] @ _LUMA) @ across)
    return small


@lru_cache(maxsize=32)
def _tent(side: int) -> NDArray[np.float32]:
    """64 × side: what each of 64 samples, at the centres of equal parts, takes of a line of `side` pixels.

    Two passes of a box of a 128th of the side, rounded up; at the ends the box is cut off.
    """
    window = -(-side // (2 * _SMALL))
    after = window // 2
    before = window - 1 - after
    at = np.arange(side)
    boxed = np.minimum(at + after, side - 1) - np.maximum(at - before, 0) + 1
    centres = ((np.arange(_SMALL) + 0.5) * side / _SMALL).astype(int)
    takes = (at == centres[:, None]).astype(float)
    for _ in range(_PASSES):
        # Pixel j is in the boxes around j - after to j + before.
        sums = np.pad(np.cumsum(takes / boxed, axis=1), ((0, 0), (1, 0)))
        takes = sums[:, np.minimum(at + before, side - 1) + 1] - sums[:, np.maximum(at - after, 0)]
    return np.asarray(takes, np.float32)


def _cosines() -> NDArray[np.float32]:
    """Rows 1 to 16 of the 64-point cosine transform (DCT-II): 16 × 64."""
    frequency = np.arange(1, _FREQUENCIES + 1)[:, None]
    odd = 2 * np.arange(_SMALL) + 1
    return np.asarray(np.sqrt(2 / _SMALL) * np.cos(np.pi / (2 * _SMALL) * frequency * odd), np.float32)


_DCT = _cosines()


def _bits(transformed: NDArray[np.float32]) -> bytes:
    """One bit for each of 16 × 16 values that is above the lower median, the last one first."""
    median = np.partition(transformed.ravel(), _FREQUENCIES**2 // 2 - 1)[_FREQUENCIES**2 // 2 - 1]
    return np.packbits(transformed.ravel()[::-1] > median).tobytes()


def _quality(small: NDArray[np.float32]) -> int:
    """How much there is to see, 0 to 100: gradients of the small image in whole percents, summed, over 90."""
    percents = [np.trunc(np.diff(small, axis=axis) * 100 / 255) for axis in (0, 1)]
    return min(100, int(sum(np.abs(gradients).sum() for gradients in percents)) // 90)
