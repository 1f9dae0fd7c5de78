"""From a photograph on a list to the verdict on a copy: the pod's hashes and the gateway's lists together."""

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from gateway import sights
from gateway.hashes import lists
from ostiary.demo import demo_images
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import DetectorInfo, Observations
from ostiary_gateway.hashes.importing import import_entries
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import Subject, decide
from ostiary_moderation.detector import DecodedImage
from ostiary_moderation.detectors.hashes import HashesDetector
from ostiary_moderation.hashing import hash_files

POLICY = in_force.load('name: test\nversion: "1"\npolicies: [{policy: prohibited_ads}]', {})
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def photograph(file: str) -> bytes:
    (data,) = (image.read() for image in demo_images() if image.file == file)
    return data


def seen(image: Image.Image) -> Observations:
    """What a pod with nothing but the hash detector says of an image that is clean otherwise."""
    pixels = np.asarray(image.convert("RGB"))
    found = HashesDetector({}, 1).detect([DecodedImage(0, 0, pixels)])
    hashed = Observations(pdq=found.pdq, detectors=[DetectorInfo(name="hashes", completed=True)])
    return sights.merged(sights.clean(), hashed)


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 2 // 5, image.height * 2 // 5))


def recompressed(image: Image.Image) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=35)
    return Image.open(file)


def framed(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, border=2, fill="white")


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


@pytest.mark.parametrize("change", [smaller, recompressed, framed, grey], ids=lambda change: change.__name__)
async def test_a_copy_of_a_listed_photograph_is_blocked(
    tmp_path: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    """However it was resized, compressed, framed or drained of colour; another photograph is not."""
    listed = tmp_path / "coffee.jpg"
    listed.write_bytes(photograph("coffee.jpg"))
    (hashes,) = [each async for each in hash_files([listed])]
    found = import_entries("own.csv", f"hash\n{hashes.frames[0].hash.hex()}\n", "pdq")
    held = lists.in_force(lists.known({"hash": found.entries[0].hash.hex()}))
    verdicts = []
    for file in ("coffee.jpg", "cat.jpg"):
        with Image.open(BytesIO(photograph(file))) as image:
            subject = Subject(Listing(title="Cup"), 1, seen(change(image)), NOW)
        verdicts.append(decide(subject, POLICY.with_lists(held)).verdict)
    assert verdicts == [Verdict.VERDICT_BLOCK, Verdict.VERDICT_ALLOW]
