"""The digest of a gallery: gateways compute it, pods check it and report it."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

from ostiary.v1.inference_pb2 import GalleryMark


def gallery_digest(marks: Iterable[GalleryMark]) -> bytes:
    """SHA-256 (32 bytes) over the marks in the order of their reference ids, whatever order they come in.

    Each is hashed as brand, reference id, image and the number of its words, then the words in their order,
    every value behind its length in bytes (8 bytes, big-endian): no two galleries run together.
    """
    state = hashlib.sha256()
    for mark in sorted(marks, key=lambda mark: mark.reference_id):
        words = [word.encode() for word in mark.words]
        for value in (mark.brand.encode(), mark.reference_id.encode(), mark.image):
            state.update(struct.pack(">Q", len(value)) + value)
        state.update(struct.pack(">Q", len(words)))
        for word in words:
            state.update(struct.pack(">Q", len(word)) + word)
    return state.digest()
