"""Images to check: JPEG files of mixed sizes, some of twelve megapixels, made once and kept on disk.

Made from a folder of photographs where there is one, else from the images of the demo: random parts, resized
to sizes that sellers send, with a little noise, so that files are as large as a camera's.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ostiary.demo import demo_images

# Width and height, and how many of twenty images have them.
SIZES = (
    ((4000, 3000), 1),
    ((2048, 1536), 2),
    ((1600, 1600), 3),
    ((1080, 1440), 5),
    ((800, 1067), 5),
    ((600, 800), 4),
)
_CLEAN = ("coffee.jpg", "shirt.png", "cat.jpg", "astronaut.jpg", "contact-en.jpg", "qr-code.jpg")
_NOISE = 5.0  # standard deviation, of 255
_QUALITY = 88
_RECENT = 50
_EXACT = (400, 533)


def sources(photos: Path | None) -> Sequence[Path | bytes]:
    """Files to make images from: photographs spread over a folder's kinds, or the demo's."""
    found = sorted(photos.glob("*/*.jpg")) if photos else []
    if found:
        return found[:: max(1, len(found) // 400)]
    return [image.read() for image in demo_images() if image.file in _CLEAN]


def corpus(folder: Path, count: int, seed: int, photos: Path | None) -> list[bytes]:
    """`count` JPEG files, the same for the same seed and sources; read from `folder` where it has them."""
    bases = sources(photos)
    key = hashlib.sha256(repr((count, seed, SIZES, str(photos), len(bases))).encode()).hexdigest()[:12]
    kept = folder / key
    if len(list(kept.glob("*.jpg"))) < count:
        kept.mkdir(parents=True, exist_ok=True)
        chance = random.Random(seed)
        for number, size in zip(range(count), _sizes(chance), strict=False):
            (kept / f"{number:04}.jpg").write_bytes(_jpeg(chance.choice(bases), size, chance))
    return [path.read_bytes() for path in sorted(kept.glob("*.jpg"))[:count]]


def exact_images(count: int, seed: int, photos: Path | None) -> list[bytes]:
    """Small PNG files, which every arm sees pixel for pixel: our pod re-encodes JPEG before it looks."""
    chance = random.Random(seed)
    bases = sources(photos)
    return [_encoded(_part(chance.choice(bases), _EXACT, chance), "PNG") for _ in range(count)]


class Stream:
    """Images one after another, no two the same file, but for a share that repeats a recent one."""

    def __init__(self, files: Sequence[bytes], seed: int, duplicates: float) -> None:
        self._files = files
        self._seed = seed
        self._chance = random.Random(seed)
        self._duplicates = duplicates
        self._recent: list[bytes] = []
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._recent and self._chance.random() < self._duplicates:
            return self._chance.choice(self._recent)
        self._sent += 1
        file = commented(self._files[self._sent % len(self._files)], f"{self._sent} of {self._seed}")
        self._recent = [*self._recent[1 - _RECENT :], file]
        return file


def commented(jpeg: bytes, text: str) -> bytes:
    """A JPEG file with a comment: another file, the same picture."""
    comment = text.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def pixels_of(file: bytes) -> int:
    """Pixels of an encoded image, from its header."""
    with Image.open(BytesIO(file)) as opened:
        return opened.width * opened.height


def _sizes(chance: random.Random) -> Iterator[tuple[int, int]]:
    """Every twenty sizes hold the shares exactly, in random order."""
    while True:
        twenty = [size for size, share in SIZES for _ in range(share)]
        chance.shuffle(twenty)
        yield from twenty


def _jpeg(base: Path | bytes, size: tuple[int, int], chance: random.Random) -> bytes:
    pixels = np.asarray(_part(base, size, chance), dtype=np.float32)
    grain = np.random.default_rng(chance.getrandbits(32)).normal(0.0, _NOISE, (256, 256, 1))
    rows, columns = -(-pixels.shape[0] // 256), -(-pixels.shape[1] // 256)
    noise = np.tile(grain.astype(np.float32), (rows, columns, 1))[: pixels.shape[0], : pixels.shape[1]]
    return _encoded(Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)), "JPEG")


def _part(base: Path | bytes, size: tuple[int, int], chance: random.Random) -> Image.Image:
    """A random part of a picture, at least two thirds of each side, resized."""
    with Image.open(BytesIO(base) if isinstance(base, bytes) else base) as opened:
        picture = opened.convert("RGB")
    share = chance.uniform(0.67, 1.0)
    width, height = int(picture.width * share), int(picture.height * share)
    left, top = chance.randint(0, picture.width - width), chance.randint(0, picture.height - height)
    return picture.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))


def _encoded(picture: Image.Image, kind: str) -> bytes:
    file = BytesIO()
    picture.save(file, kind, quality=_QUALITY)
    return file.getvalue()
