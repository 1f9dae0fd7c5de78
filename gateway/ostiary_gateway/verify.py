"""Whether a pod's answer belongs to the check, and its canonical bytes to the answer. Pure."""

import hashlib
from collections.abc import Sequence

from ostiary.v1.inference_pb2 import CanonicalBytes, InferResponse

MOST_BLURRED_BYTES = 16_384
_JPEG = b"\xff\xd8\xff"


def mismatch(image_sha256s: Sequence[bytes], answer: InferResponse) -> str | None:
    """Why the answer to images of these hashes cannot be used, in words; None where it can.

    Every image that the pod calls readable must be one that was sent, and must come with the bytes that its
    hash says: what is published later is exactly what was looked at.
    """
    seen = answer.observations
    if not seen.HasField("bundle"):
        return "it does not say which bundle looked"
    canonical = {item.image_index: item.data for item in answer.canonical}
    if len(canonical) != len(answer.canonical):
        return "it holds two canonical forms of one image"
    if canonical.keys() != {image.image_index for image in seen.images}:
        return "canonical bytes and observations are not of the same images"
    if (wrong := _badly_blurred(answer.canonical)) is not None:
        return f"the blurred rendition of image {wrong} is no small JPEG file"
    for image in seen.images:
        index = image.image_index
        if not 0 <= index < len(image_sha256s):
            return f"it names image {index}, which the check does not have"
        if image.raw_sha256 != image_sha256s[index]:
            return f"image {index} is not the one that was sent"
        if image.sha256 != hashlib.sha256(canonical[index]).digest():
            return f"the canonical bytes of image {index} do not have the hash that it says"
    return None


def _badly_blurred(canonical: Sequence[CanonicalBytes]) -> int | None:
    """The first image with a rendition that shows too much to be blurred, or is another kind of file."""
    for item in canonical:
        small = len(item.blurred) <= MOST_BLURRED_BYTES and item.blurred.startswith(_JPEG)
        if item.blurred and not small:
            return item.image_index
    return None
