"""Perceptual hashes of images, which the gateway looks up in lists of known images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ostiary.v1.observation_pb2 import PdqHash
from ostiary_moderation.detector import DecodedImage, Detections, Example
from ostiary_moderation.detectors.pdq import pdq


class HashesSettings(BaseModel):
    """Settings of the hash detector in a bundle: there are none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HashesDetector:
    """Hashes every frame with PDQ. SHA-256 is of files, and comes with the canonical image."""

    name = "hashes"
    version = f"PDQ with numpy {np.__version__}"
    policies = ()
    """None by itself: which policies a known image speaks for stands in the gateway's lists."""

    def __init__(self, settings: Mapping[str, Any], threads: int) -> None:
        """`threads` changes nothing. Raises ValueError for any setting."""
        HashesSettings.model_validate(dict(settings))

    def detect(self, images: Sequence[DecodedImage]) -> Detections:
        """Hash the images."""
        return Detections(pdq=tuple(_hashed(image) for image in images))

    def examples(self) -> Iterator[Example]:
        """A drawing, the same with its sides exchanged, and a corner that is too small to be hashed."""
        drawing = _draw()
        for name, pixels, expected in (
            ("drawing", drawing, _DRAWING),
            ("drawing, mirrored at its diagonal", drawing.transpose(1, 0, 2), _MIRRORED),
            ("too small", drawing[:4, :4], PdqHash(hash=bytes(32))),
        ):
            yield Example(name, pixels, Detections(pdq=(expected,)))


def _hashed(image: DecodedImage) -> PdqHash:
    found = pdq(image.pixels)
    return PdqHash(image_index=image.index, frame=image.frame, hash=found.hash, quality=found.quality)


def _draw() -> NDArray[np.uint8]:
    """Waves of three colours, 150 × 200 × 3."""
    y, x = np.mgrid[0:150, 0:200]
    waves = [np.sin(x / 9 + y / 23), np.cos(x * y / 1300), np.sin((x - 80) ** 2 / 900 + y / 11)]
    return (127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8)


# As pdqhash 0.2.8 has them, which wraps the published C++.
_DRAWING = PdqHash(
    hash=bytes.fromhex("aa96696aaa96696eaab66d4eaaa7554aaaaa552aa4d6aa245ecc5439516396c7"), quality=100
)
_MIRRORED = PdqHash(
    hash=bytes.fromhex("aab1554efeb0014ffe98056daa995542aaa9552b5ad6a82455ccbe39ffe30207"), quality=100
)
