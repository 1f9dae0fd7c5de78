"""How long the detectors take on an image of 800 × 800, on one core, and how much memory they need."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.detectors import looking, marks, overlays, wording
from bench.detectors.parts import SEED
from bench.engine.statistics import percentile
from ostiary_moderation.detector import DecodedImage, Detections, Detector, GalleryDetector
from ostiary_moderation.evaluation.photos import open_upright

SIDE = 800
_WARM_UP = 3


@dataclass(frozen=True)
class Load:
    """Photographs to make images of; every third has a text over it."""

    folder: Path
    files: tuple[str, ...]
    count: int

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """The images, the same each time."""
        for number in range(self.count):
            source = random.Random(f"{SEED} speed {number}")
            photograph = Image.fromarray(open_upright(self.folder / source.choice(self.files)))
            square = min(photograph.size)
            part = photograph.crop((0, 0, square, square)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            if number % 3 == 0:
                part, _ = overlays.text_over(source, part, wording.prohibited(source, number).lines)
            yield overlays.saved(part, 88)


def rows(load: Load, bundle: str, sets: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
    """A row for each set of detectors, each measured in a process of its own, one after another."""
    found = []
    for names in sets:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            found.append(fresh.submit(_measured, load, bundle, names).result())
    return found


def _measured(load: Load, bundle: str, names: tuple[str, ...]) -> dict[str, Any]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    look = Look(names, bundle)
    taken = []
    for number, pixels in enumerate(load.images()):
        began, used = time.perf_counter(), time.process_time()
        look.at(pixels)
        if number >= _WARM_UP or load.count <= _WARM_UP:
            taken.append((time.perf_counter() - began, time.process_time() - used))
    wall, processor = ([1e3 * pair[place] for pair in taken] for place in (0, 1))
    return {
        "detectors": " + ".join(names),
        "images": len(taken),
        "p50_ms": percentile(wall, 0.5),
        "p99_ms": percentile(wall, 0.99),
        "p50_cpu_ms": percentile(processor, 0.5),
        "p99_cpu_ms": percentile(processor, 0.99),
        "most_mb": _most_memory(),
    }


class Look:
    """Detectors one after another, those that compare with a gallery last, with all brands in it."""

    def __init__(self, names: Sequence[str], bundle: str) -> None:
        loaded = looking.detectors(names, bundle)
        self._plain = [one for one in loaded if isinstance(one, Detector)]
        brands = marks.gallery(marks.registry())
        self._comparing = [one.prepare(brands) for one in loaded if isinstance(one, GalleryDetector)]

    def at(self, pixels: NDArray[np.uint8]) -> Detections:
        """All that they see in an image."""
        image = [DecodedImage(0, 0, pixels)]
        found = sum((one.detect(image) for one in self._plain), Detections())
        return sum((one.detect(image, found) for one in self._comparing), found)


def slowest(found: Sequence[Mapping[str, Any]], count: int) -> float | None:
    """Median processor time of the row with `count` detectors together."""
    together = [row["p50_cpu_ms"] for row in found if row["detectors"].count("+") == count - 1]
    return together[0] if together else None


def _most_memory() -> float:
    """The most resident megabytes of this process so far."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3 * 1.024
