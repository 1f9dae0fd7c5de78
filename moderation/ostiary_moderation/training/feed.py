"""Scenes for training, drawn in a process of their own: drawing is Python, and the trainer's cores are for
arithmetic.
"""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from queue import Empty, Full
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ostiary_moderation.bundle import UNKNOWN
from ostiary_moderation.training.gallery import CELL, LABELS
from ostiary_moderation.training.photos import CATEGORIES, Photo
from ostiary_moderation.training.products import draw_product
from ostiary_moderation.training.scenes import KINDS, Grid, Recipe, Scene, make_scene

# How much a batch shows of its scenes: parts of them at the size of `small`, or all of them, first in a size
# that is quick to learn from, then in the one that serving sees.
Showing = Literal["close-ups", "small", "whole"]
# Whole pictures, by how often photographs have that shape.
SMALL: dict[Grid, float] = {(9, 7): 0.72, (7, 9): 0.12, (8, 8): 0.08, (10, 6): 0.05, (6, 10): 0.03}
# These lie inside the pixel budget.
WHOLE: dict[Grid, float] = {(12, 9): 0.72, (9, 12): 0.12, (10, 10): 0.06, (14, 7): 0.07, (7, 14): 0.03}
# A part of a picture at the scale it is seen at: what is drawn, for a third of the cost of looking. So many
# are taken of each scene: drawing costs as much as learning.
CLOSE_UP: Grid = (5, 4)
CLOSE_UPS = 3
PRODUCTS = 0.06  # share of scenes with something else than clothes
NONE = -1  # in place of a label's index where no value is true


@dataclass(frozen=True)
class Batch:
    """Scenes of one size. `pixels`, `clean`: (B, H, W, 3) uint8, with and without what was drawn; `cover`:
    (B, tokens, KINDS) bool; `flags`: (B, 2) bool, whether a QR code and contact details were drawn; `labels`:
    by name, (B,) indices or NONE.
    """

    grid: Grid
    pixels: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    cover: NDArray[np.bool_]
    flags: NDArray[np.bool_]
    labels: dict[str, NDArray[np.int64]]


def draw_batch(
    seed: int, index: int, photos: Sequence[Photo], weights: Sequence[float], size: int, showing: Showing
) -> Batch:
    """The batch with a number: the same for the same seed."""
    rng = random.Random(f"{seed}/{index}/{showing}")  # noqa: S311 - drawing needs no secrets
    close_up, grids = showing == "close-ups", WHOLE if showing == "whole" else SMALL
    grid = rng.choices(list(grids), list(grids.values()))[0]
    chosen = rng.choices(photos, weights, k=-(-size // CLOSE_UPS) if close_up else size)
    examples = [_whole(_scene(rng, photo, grid), grid) for photo in chosen]
    if close_up:
        examples = [part for whole in examples for part in _close_ups(rng, whole)][:size]
    scenes = [example.scene for example in examples]
    return Batch(
        CLOSE_UP if close_up else grid,
        np.stack([example.pixels for example in examples]),
        np.stack([example.clean for example in examples]),
        np.stack([example.cover.reshape(-1, len(KINDS)) for example in examples]),
        np.array([[scene.has("qr_code"), scene.has("contact_details")] for scene in scenes]),
        {
            name: np.array([_index(values, getattr(scene.photo, name)) for scene in scenes])
            for name, values in LABELS.items()
        },
    )


@dataclass(frozen=True)
class _Example:
    """A scene, or a part of one. `pixels`, `clean`: H × W × 3 uint8; `cover`: (rows, columns, KINDS)."""

    scene: Scene
    pixels: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    cover: NDArray[np.bool_]


def _whole(scene: Scene, grid: Grid) -> _Example:
    shape = (grid[1] * CELL, grid[0] * CELL)
    pixels, clean = (
        np.asarray(image.resize(shape, Image.Resampling.BICUBIC)) for image in (scene.image, scene.clean)
    )
    return _Example(scene, pixels, clean, scene.cover(*grid).reshape(*grid, -1))


def _close_ups(rng: random.Random, whole: _Example) -> Iterator[_Example]:
    for _ in range(CLOSE_UPS):
        top, left = _spot(rng, whole.cover)
        cells = (slice(top, top + CLOSE_UP[0]), slice(left, left + CLOSE_UP[1]))
        parts = tuple(slice(axis.start * CELL, axis.stop * CELL) for axis in cells)
        yield _Example(whole.scene, whole.pixels[parts], whole.clean[parts], whole.cover[cells])


def _scene(rng: random.Random, photo: Photo, grid: Grid) -> Scene:
    """Over a photograph, or now and then over a drawn product of another kind."""
    image = None
    if rng.random() < PRODUCTS:
        photo, image = draw_product(rng, (400, 533))
    return make_scene(rng, photo, Recipe(), grid[1] / grid[0], image)


def _index(values: Sequence[str], value: str) -> int:
    return values.index(value) if value != UNKNOWN else NONE


def _spot(rng: random.Random, cover: NDArray[np.bool_]) -> Grid:
    """The first row and column of a close-up: mostly one that shows something drawn, where anything was."""
    rows, columns = cover.shape[0] - CLOSE_UP[0], cover.shape[1] - CLOSE_UP[1]
    top, left = rng.randint(0, rows), rng.randint(0, columns)
    drawn = np.argwhere(cover.any(axis=2))
    if len(drawn) and rng.random() < 0.85:
        row, column = (int(value) for value in drawn[rng.randrange(len(drawn))])
        top = rng.randint(max(0, row - CLOSE_UP[0] + 1), min(rows, row))
        left = rng.randint(max(0, column - CLOSE_UP[1] + 1), min(columns, column))
    return top, left


def sampling_weights(photos: Sequence[Photo]) -> list[float]:
    """Rare categories more often than they occur, common ones less: by the square root of their frequency."""
    counts = {category: sum(photo.category == category for photo in photos) for category in CATEGORIES}
    return [counts[photo.category] ** -0.5 * (2.0 if photo.audience == "kids" else 1.0) for photo in photos]


@contextmanager
def feeding(
    seed: int, start: int, photos: Sequence[Photo], size: int, showing: Showing
) -> Iterator[Iterator[Batch]]:
    """Batches from number `start` on, drawn ahead by one worker process until the block is left.

    Asking for a batch raises RuntimeError when that process has died.
    """
    context = multiprocessing.get_context("spawn")
    queue: Queue[Batch] = context.Queue(maxsize=12)
    stop = context.Event()
    worker = context.Process(
        target=_draw_forever, args=(queue, stop, seed, start, tuple(photos), size, showing), daemon=True
    )
    worker.start()
    try:
        yield _received(queue, worker)
    finally:
        stop.set()
        worker.terminate()
        worker.join()


def _received(queue: Queue[Batch], worker: BaseProcess) -> Iterator[Batch]:
    while True:
        try:
            yield queue.get(timeout=2.0)
        except Empty:
            if not worker.is_alive():
                raise RuntimeError("the process that draws ended; its error stands above") from None


def _draw_forever(
    queue: Queue[Batch],
    stop: Event,
    seed: int,
    index: int,
    photos: Sequence[Photo],
    size: int,
    showing: Showing,
) -> None:
    """Draws until told to stop, or until the trainer is gone without having told."""
    trainer = multiprocessing.parent_process()
    weights = sampling_weights(photos)
    while True:
        batch = draw_batch(seed, index, photos, weights, size, showing)
        index += 1
        while True:
            if stop.is_set() or trainer is None or not trainer.is_alive():
                queue.cancel_join_thread()
                return
            try:
                queue.put(batch, timeout=1.0)
                break
            except Full:
                continue
