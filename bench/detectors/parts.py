"""What is looked at: images by number, each the same whenever it is made, with what is true of them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.detectors import codes, overlays, wording
from ostiary_moderation.evaluation.photos import open_upright
from ostiary_moderation.training import drawing

SEED = 20261125
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Item:
    """An image, height × width × 3, sRGB, and what is true of it, ready for JSON."""

    pixels: NDArray[np.uint8]
    facts: Mapping[str, Any]


class Part(Protocol):
    """A numbered set of images, and the detectors that look at them."""

    @property
    def name(self) -> str:
        """Names the part in files and tables."""

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of the detectors that look."""

    @property
    def size(self) -> int:
        """How many images there are at most."""

    def item(self, number: int) -> Item:
        """The image of that number."""

    def setup(self) -> str:
        """Changes with everything that the images depend on."""


@dataclass(frozen=True)
class Adverts:
    """Texts laid over photographs: prohibited ones, or lawful ones."""

    folder: Path
    files: tuple[str, ...]
    prohibited: bool
    size: int
    detectors: tuple[str, ...] = ("ocr", "barcode")

    @property
    def name(self) -> str:
        """Names the part."""
        return "prohibited" if self.prohibited else "lawful"

    def item(self, number: int) -> Item:
        """One text over one photograph; labels, kinds and languages take turns."""
        source = random.Random(f"{SEED} {self.name} {number}")
        text = (wording.prohibited if self.prohibited else wording.lawful)(source, number)
        file, photograph = _photograph(source, self.folder, self.files)
        image, look = overlays.text_over(source, overlays.resized(source, photograph), text.lines)
        facts = {"file": file, **asdict(text), "look": asdict(look)}
        return Item(overlays.saved(image, look.quality), facts)

    def setup(self) -> str:
        """The texts and how they are drawn."""
        fonts = ",".join(map(_stem, overlays.fonts("A")))
        return _digest("wording.py", "texts.yaml", "overlays.py", "parts.py") + fonts + _names(self.files)


@dataclass(frozen=True)
class Codes:
    """Codes laid over photographs."""

    folder: Path
    files: tuple[str, ...]
    size: int
    name: str = "codes"
    detectors: tuple[str, ...] = ("barcode",)

    def item(self, number: int) -> Item:
        """One code over one photograph; QR codes mostly, the other symbologies in turn."""
        source = random.Random(f"{SEED} {self.name} {number}")
        code = codes.made(source, number)
        file, photograph = _photograph(source, self.folder, self.files)
        image, look = overlays.code_over(
            source, overlays.resized(source, photograph), code.image, code.side, code.quiet
        )
        facts = {"file": file, "symbology": code.symbology, "payload": code.payload, "look": asdict(look)}
        return Item(overlays.saved(image, look.quality), facts)

    def setup(self) -> str:
        """The codes and how they are drawn."""
        return _digest("wording.py", "codes.py", "overlays.py", "parts.py") + _names(self.files)


@dataclass(frozen=True)
class Lookalikes:
    """Patterns that only look like codes, laid over photographs."""

    folder: Path
    files: tuple[str, ...]
    size: int
    name: str = "lookalikes"
    detectors: tuple[str, ...] = ("barcode",)

    def item(self, number: int) -> Item:
        """One pattern over one photograph."""
        source = random.Random(f"{SEED} {self.name} {number}")
        pattern = drawing.lookalike(source)
        file, photograph = _photograph(source, self.folder, self.files)
        side = source.randint(codes.LEAST_SIDE, 240)
        image, look = overlays.code_over(source, overlays.resized(source, photograph), pattern, side, 0.0)
        return Item(overlays.saved(image, look.quality), {"file": file, "look": asdict(look)})

    def setup(self) -> str:
        """How the patterns are drawn."""
        return _digest("overlays.py", "parts.py") + _names(self.files)


@dataclass(frozen=True)
class Photographs:
    """Photographs as they are. Those that were looked at for brands come first."""

    folder: Path
    files: tuple[str, ...]
    name: str = "photographs"
    detectors: tuple[str, ...] = ("ocr", "barcode")

    @property
    def size(self) -> int:
        """All of them."""
        return len(self.files)

    def item(self, number: int) -> Item:
        """The photograph."""
        file = self.files[number]
        return Item(open_upright(self.folder / file), {"file": file})

    def setup(self) -> str:
        """Which photographs, and in which order."""
        return _names(self.files)


def in_order(labelled: Sequence[str], files: Sequence[str]) -> tuple[str, ...]:
    """All files: the labelled ones first, either lot shuffled, so that the first few stand for all."""
    source = random.Random(SEED)
    first, known = sorted(set(labelled)), set(labelled)
    rest = sorted(set(files) - known)
    return (*source.sample(first, len(first)), *source.sample(rest, len(rest)))


def _photograph(source: random.Random, folder: Path, files: Sequence[str]) -> tuple[str, Image.Image]:
    file = source.choice(files)
    return file, Image.fromarray(open_upright(folder / file))


def _digest(*names: str) -> str:
    return hashlib.sha256(b"\0".join((_HERE / name).read_bytes() for name in names)).hexdigest()[:16]


def _names(files: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]


def _stem(font: str) -> str:
    return Path(font).stem
