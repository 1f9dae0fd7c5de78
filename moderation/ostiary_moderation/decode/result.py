"""What comes of decoding one file: a canonical image, or why there is none."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class FaultCode(StrEnum):
    """Why an image could not be judged, as `ImageFault.code` carries it."""

    EMPTY = "empty"
    UNREADABLE = "unreadable"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Fault:
    """An image that could not be decoded, with the reason in words fit for a log."""

    code: FaultCode
    detail: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame to be judged: its zero-based index in the file, and height × width × 3 bytes of sRGB.

    `rgb` is empty where full pixels were not asked for. `views`: the frame in each of the image's
    `view_sizes`, height × width × 3 bytes.
    """

    index: int
    rgb: bytes | memoryview
    views: tuple[bytes | memoryview, ...] = ()


@dataclass(frozen=True, slots=True)
class Canonical:
    """A decoded image: the file to publish, and the frames to judge.

    Every frame has the size `width` × `height`, in pixels; the first one is what `file` decodes to.
    `blurred`: a small, strongly blurred JPEG file of the first frame. `view_sizes`: height and width of the
    views made of each frame.
    """

    raw_sha256: bytes
    sha256: bytes
    media_type: str
    width: int
    height: int
    file: bytes
    blurred: bytes
    frames: tuple[Frame, ...]
    notes: tuple[str, ...]
    view_sizes: tuple[tuple[int, int], ...] = ()


def canonical(
    raw: bytes,
    *,
    media_type: str,
    size: tuple[int, int],
    file: bytes,
    blurred: bytes,
    frames: Sequence[Frame],
    notes: Sequence[str],
    view_sizes: Sequence[tuple[int, int]] = (),
) -> Canonical:
    """Return the canonical image of the file `raw`, with both hashes computed here."""
    width, height = size
    return Canonical(
        raw_sha256=hashlib.sha256(raw).digest(),
        sha256=hashlib.sha256(file).digest(),
        media_type=media_type,
        width=width,
        height=height,
        file=file,
        blurred=blurred,
        frames=tuple(frames),
        notes=tuple(notes),
        view_sizes=tuple(view_sizes),
    )
