"""Training batches, drawn in a process of their own: drawing is Python, and the trainer's core is for
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

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ostiary_moderation.training.colours import COLOURS
from ostiary_moderation.training.photos import AUDIENCES, CATEGORIES, Photo
from ostiary_moderation.training.scenes import Recipe, make_scene

CELL = 32
# Merged rows and columns, by how often photographs have that shape; all lie inside the pixel budget.
GRIDS = {(9, 7): 0.72, (7, 9): 0.12, (8, 8): 0.08, (10, 6): 0.05, (6, 10): 0.03}


@dataclass(frozen=True)
class Batch:
    """Scenes of one size. `pixels`: (B, H, W, 3) uint8; `dense`: (B, tokens, kinds) bool; the rest (B,)
    indices.

    `flags`: (B, 2) bool, whether a QR code and contact details were drawn.
    """

    grid: tuple[int, int]
    pixels: NDArray[np.uint8]
    dense: NDArray[np.bool_]
    flags: NDArray[np.bool_]
    category: NDArray[np.int64]
    colour: NDArray[np.int64]
    audience: NDArray[np.int64]


def draw_batch(seed: int, index: int, photos: Sequence[Photo], weights: Sequence[float], size: int) -> Batch:
    """The batch with a number: the same for the same seed."""
    rng = random.Random(f"{seed}/{index}")  # noqa: S311 - drawing needs no secrets
    grid = rng.choices(list(GRIDS), list(GRIDS.values()))[0]
    chosen = rng.choices(photos, weights, k=size)
    scenes = [make_scene(rng, photo, Recipe(), grid[1] / grid[0]) for photo in chosen]
    shape = (grid[1] * CELL, grid[0] * CELL)
    pixels = np.stack([np.asarray(scene.image.resize(shape, Image.Resampling.BICUBIC)) for scene in scenes])
    return Batch(
        grid,
        pixels,
        np.stack([scene.dense(*grid) for scene in scenes]),
        np.array([[scene.has("qr_code"), scene.has("contact_details")] for scene in scenes]),
        np.array([CATEGORIES.index(scene.photo.category) for scene in scenes]),
        np.array([COLOURS.index(scene.colour) for scene in scenes]),
        np.array([AUDIENCES.index(scene.photo.audience) for scene in scenes]),
    )


def sampling_weights(photos: Sequence[Photo]) -> list[float]:
    """Rare categories more often than they occur, common ones less: by the square root of their frequency."""
    counts = {category: sum(photo.category == category for photo in photos) for category in CATEGORIES}
    return [counts[photo.category] ** -0.5 * (2.0 if photo.audience == "kids" else 1.0) for photo in photos]


@contextmanager
def feeding(seed: int, start: int, photos: Sequence[Photo], size: int) -> Iterator[Iterator[Batch]]:
    """Batches from number `start` on, drawn ahead by one worker process until the block is left.

    Asking for a batch raises RuntimeError when that process has died.
    """
    context = multiprocessing.get_context("spawn")
    queue: Queue[Batch] = context.Queue(maxsize=12)
    stop = context.Event()
    worker = context.Process(
        target=_draw_forever, args=(queue, stop, seed, start, tuple(photos), size), daemon=True
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
    queue: Queue[Batch], stop: Event, seed: int, index: int, photos: Sequence[Photo], size: int
) -> None:
    """Draws until told to stop, or until the trainer is gone without having told."""
    trainer = multiprocessing.parent_process()
    weights = sampling_weights(photos)
    while True:
        batch = draw_batch(seed, index, photos, weights, size)
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
