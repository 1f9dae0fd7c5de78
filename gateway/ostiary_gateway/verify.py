"""Whether a pod's answer belongs to the check, and its canonical bytes to the answer. Pure."""

import hashlib

from ostiary.v1.inference_pb2 import InferResponse
from ostiary.v1.moderation_pb2 import CheckRequest


def mismatch(request: CheckRequest, answer: InferResponse) -> str | None:
    """Why the answer cannot be used, in words; None where it can.

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
    for image in seen.images:
        index = image.image_index
        if not 0 <= index < len(request.images):
            return f"it names image {index}, which the check does not have"
        if image.raw_sha256 != hashlib.sha256(request.images[index].data).digest():
            return f"image {index} is not the one that was sent"
        if image.sha256 != hashlib.sha256(canonical[index]).digest():
            return f"the canonical bytes of image {index} do not have the hash that it says"
    return None
