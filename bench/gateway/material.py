"""What is sent and answered: images of fixed sizes, the requests that hold them, and what the stub pod says.

Everything is made from seeds, so that the load and the stub know the same images without exchanging them.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping

from ostiary.v1.image_pb2 import Box, CanonicalImage, Image, Region
from ostiary.v1.inference_pb2 import CanonicalBytes, InferRequest, InferResponse
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.observation_pb2 import (
    Attribute,
    BundleInfo,
    Description,
    DetectorInfo,
    Observations,
    OcrSpan,
    PolicyScore,
    StageTiming,
)

SIZES: Mapping[str, int] = {"20 KB": 20_000, "200 KB": 200_000, "2 MB": 2_000_000}
KINDS = 4  # images of each size
_TAG = b"\x89ostiary-bench "
_TAG_BYTES = len(_TAG) + 12
POLICIES = ("logo_infringement", "nudity", "prohibited_ads")
_QUESTIONS = (("nudity", "explicit"), ("prohibited_ads", "qr_code"), ("logo_infringement", "logo"))
LISTING = Listing(
    listing_id="listing-1",
    title="Linen shirt for women, loose fit, long sleeves, sizes S to XL",
    description="A light shirt for warm days, woven from washed linen. Mother-of-pearl buttons, one chest "
    "pocket. Machine wash at 30 degrees; wear it open over a top or buttoned up.",
    category="clothing",
    seller="seller-1",
    territory="DE",
    language="en",
)


def image(size: int, number: int) -> bytes:
    """The image of so many bytes with a number below `KINDS`: no format at all, for nothing decodes it."""
    tag = _TAG + f"{size:09d}-{number:02d}".encode()
    return tag + random.Random(f"{size}/{number}").randbytes(size - len(tag))


def tag_of(request: bytes) -> bytes:
    """Which image a serialised request holds; it stands near the beginning. Empty: none of ours."""
    start = request.find(_TAG)
    return request[start : start + _TAG_BYTES] if start >= 0 else b""


def check_body(data: bytes) -> bytes:
    """A serialised CheckRequest without its idempotency key."""
    return CheckRequest(images=[Image(data=data, name="front")], listing=LISTING).SerializeToString()


def keyed(body: bytes, key: str) -> bytes:
    """The serialised CheckRequest with a key: fields of a message may stand in any order."""
    return CheckRequest(idempotency_key=key).SerializeToString() + body


def infer_body(data: bytes) -> bytes:
    """A serialised InferRequest, as a gateway would send it."""
    return InferRequest(check_id="0" * 36, check_request=check_body(data)).SerializeToString()


def reply(data: bytes) -> InferResponse:
    """What a pod says of an image with nothing in it to find; the canonical form is as large as the image."""
    seen = CanonicalImage(
        image_index=0,
        raw_sha256=hashlib.sha256(data).digest(),
        sha256=hashlib.sha256(data).digest(),
        media_type="image/jpeg",
        width=1024,
        height=1024,
        size_bytes=len(data),
    )
    spans = [
        OcrSpan(text=text, confidence=0.98, region=Region(box=Box(x=10, y=10, width=80, height=20)))
        for text in ("LINEN 100%", "SUMMER COLLECTION")
    ]
    scores = [
        PolicyScore(policy=policy, label=label, question=f"{label}.seen", probability=0.01, source="vlm")
        for policy, label in _QUESTIONS
    ]
    detectors = [
        DetectorInfo(name=name, version="1", completed=True, policies=POLICIES)
        for name in ("ocr", "barcode", "hashes", "logo")
    ]
    observations = Observations(
        images=[seen],
        ocr=spans,
        scores=scores,
        attributes=[Attribute(name="colour", value="white", confidence=0.9)],
        description=Description(text="A white linen shirt on a plain background.", language="en"),
        bundle=BundleInfo(name="stub", version="1", digest=b"d" * 32, weights_digest=b"w" * 32),
        detectors=detectors,
        capabilities=POLICIES,
    )
    return InferResponse(
        observations=observations,
        canonical=[CanonicalBytes(image_index=0, data=data)],
        timings=[StageTiming(stage="look")],
    )


def replies() -> dict[bytes, bytes]:
    """The serialised reply to each image, by its tag."""
    images = (image(size, number) for size in SIZES.values() for number in range(KINDS))
    return {tag_of(data): reply(data).SerializeToString() for data in images}
