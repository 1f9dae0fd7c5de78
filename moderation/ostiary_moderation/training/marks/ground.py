"""Photographs to lay marks over, decoded once into one file that is mapped into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ostiary_moderation.evaluation.photos import open_upright

HEIGHT, WIDTH = 448, 336
Pixels = NDArray[np.uint8]


def load_grounds(files: Sequence[Path], cache: Path, report: Callable[[str], None]) -> Pixels:
    """N × HEIGHT × WIDTH × 3: the photographs, lying ones turned, cut to three by four. Kept in `cache`."""
    shape = (len(files), HEIGHT, WIDTH, 3)
    if cache.is_file() and cache.stat().st_size == int(np.prod(shape)):
        return np.memmap(cache, np.uint8, "r", shape=shape)
    report(f"decoding {len(files)} photographs; they are kept")
    partial = cache.with_suffix(".partial")
    store = np.memmap(partial, np.uint8, "w+", shape=shape)
    for number, file in enumerate(files):
        store[number] = _fitted(Image.fromarray(open_upright(file)))
    store.flush()
    partial.replace(cache)
    return np.memmap(cache, np.uint8, "r", shape=shape)


def _fitted(photograph: Image.Image) -> Pixels:
    if photograph.width > photograph.height:
        photograph = photograph.transpose(Image.Transpose.ROTATE_90)
    width = min(photograph.width, photograph.height * WIDTH // HEIGHT)
    height = min(photograph.height, photograph.width * HEIGHT // WIDTH)
    left, top = (photograph.width - width) // 2, (photograph.height - height) // 2
    box = (left, top, left + width, top + height)
    return np.asarray(photograph.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box))
