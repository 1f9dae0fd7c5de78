"""Figurative marks of brands that were never learnt, over photographs of senders that were not either."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.detectors.parts import SEED
from ostiary_moderation.evaluation.photos import read_labelled
from ostiary_moderation.figurative.marks import Mark, UnusableError, read_mark
from ostiary_moderation.figurative.matching import Matcher
from ostiary_moderation.figurative.networks import SHIPPED, Networks
from ostiary_moderation.figurative.sight import look
from ostiary_moderation.training.marks.fitting import RIGHT, trials_of
from ostiary_moderation.training.marks.icons import Icons, load_icons
from ostiary_moderation.training.photos import split_by_sender

GALLERIES = (200, 3_000)
"""Registered marks. Those that stand on no image are brands' that were learnt from, and other icons."""
_CLEAN = 0.5
_STRANGERS = 0.5


@dataclass(frozen=True)
class Outcome:
    """What is true of an image, and what was told of it. `kind`: registered, unregistered or clean. `side`,
    `contrast`: of its mark. `told`: score and whether it is the right mark at the right place.
    """

    kind: str
    side: float
    contrast: float
    told: tuple[tuple[float, bool], ...]


@dataclass(frozen=True)
class Gallery:
    """A gallery's images. `refused`: of the marks that stand on images. `milliseconds`: of the processor."""

    marks: int
    refused: int
    images: list[Outcome] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """All galleries, and the threshold that was frozen on other brands and senders."""

    threshold: float
    galleries: tuple[Gallery, ...]


def measured(photos: Path, icons_file: Path, count: int, tell: Callable[[str], None]) -> Measured:
    """`count` images with a registered mark, half as many with an unregistered one and with none.

    Each gallery has the marks of the first kind, and others up to its size.
    """
    networks = Networks(SHIPPED, threads=1)
    icons = load_icons(icons_file, tell)
    files = [photo.path for photo in split_by_sender(read_labelled(photos)).test]
    brands = np.random.default_rng(SEED).permutation(icons.of("test")).tolist()
    registered, strangers = brands[:count], brands[count : count + round(count * _STRANGERS)]
    matchers = [Matcher(networks, _marks(icons, _filled(icons, registered, size))) for size in GALLERIES]
    galleries = tuple(
        Gallery(size, len(set(map(str, registered)) - {mark.brand for mark in matcher.marks}))
        for size, matcher in zip(GALLERIES, matchers, strict=True)
    )
    numbers = [*registered, *strangers]
    for done, trial in enumerate(trials_of(icons, numbers, files, round(count * _CLEAN), SEED)):
        if done % 50 == 0:
            tell(f"figurative: {done} images")
        began = time.process_time()
        sights = look(networks, trial.pixels)
        looked = time.process_time() - began
        kind = "clean" if trial.icon < 0 else "registered" if done < count else "unregistered"
        for gallery, matcher in zip(galleries, matchers, strict=True):
            began = time.process_time()
            found = matcher.told(sights, 0.0)
            gallery.milliseconds.append(1000 * (looked + time.process_time() - began))
            box = trial.box
            told = tuple(
                (
                    one.score,
                    kind == "registered"
                    and one.mark.brand == str(trial.icon)
                    and box is not None
                    and one.box.overlap(box) > RIGHT,
                )
                for one in found
            )
            gallery.images.append(Outcome(kind, box.longer if box else 0.0, trial.contrast, told))
    return Measured(float(networks.scoring["threshold"]), galleries)


def _filled(icons: Icons, registered: Sequence[int], size: int) -> list[int]:
    """The registered icons, and others up to the size: none that is in the held-out parts."""
    train = icons.of("train")
    brands_first = [*train[icons.brands[train]], *train[~icons.brands[train]]]
    return [int(number) for number in (*registered, *brands_first[: size - len(registered)])]


def _marks(icons: Icons, numbers: Sequence[int]) -> list[Mark]:
    """Each read from the PNG that a brand would upload, but for those that are refused then."""
    marks = []
    for number in numbers:
        with suppress(UnusableError):
            marks.append(read_mark(str(number), str(icons.names[number]), _png(icons.inks[number])))
    return marks


def _png(ink: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    picture = Image.new("RGBA", (ink.shape[1], ink.shape[0]))
    picture.putalpha(Image.fromarray(ink))
    picture.save(stream, "PNG")
    return stream.getvalue()
