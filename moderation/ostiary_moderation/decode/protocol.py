"""What the pod and a decoding worker say to each other over their socket.

A request is a length, whether full pixels are wanted, and the file. An answer is a length, a JSON header,
then the canonical file, its blurred rendition, the views of each frame and the pixels of each, whose sizes
follow from the header.
JSON and raw bytes, never pickle: a worker that a hostile image has taken over must not be able to run code in
the pod, so the reader checks every field before it believes it.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ostiary_moderation.decode.result import Canonical, Fault, FaultCode
from ostiary_moderation.views import PixelRange, ViewSpec

LENGTH = struct.Struct(">I")
REQUEST = struct.Struct(">I?")
MAX_HEADER = 16_384
MAX_BLURRED = 16_384
MAX_NOTES = 32
MAX_WORDS = 400
MAX_FRAMES = 4
MAX_VIEWS = 2
MAX_VIEW_SIDE = 1 << 16
MEDIA_TYPES = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}


class ProtocolError(Exception):
    """The other end did not keep to the protocol."""


@dataclass(frozen=True, slots=True)
class CanonicalHeader:
    """What precedes the bytes of a canonical image. Sizes in pixels and bytes."""

    media_type: str
    width: int
    height: int
    file_size: int
    blurred_size: int
    frames: tuple[int, ...]
    notes: tuple[str, ...]
    views: tuple[tuple[int, int], ...] = ()
    pixels: bool = True

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one frame's pixels; 0 where they do not follow."""
        return self.width * self.height * 3 if self.pixels else 0

    @property
    def view_bytes(self) -> tuple[int, ...]:
        """Bytes of each view of one frame."""
        return tuple(height * width * 3 for height, width in self.views)

    @property
    def body_bytes(self) -> int:
        """Bytes of all that follows."""
        return (
            self.file_size + self.blurred_size + len(self.frames) * (sum(self.view_bytes) + self.pixel_bytes)
        )


def encode(outcome: Canonical | Fault) -> list[bytes | memoryview]:
    """Return the answer as buffers to be sent one after another."""
    if isinstance(outcome, Fault):
        return [_framed({"fault": outcome.code.value, "detail": outcome.detail[:MAX_WORDS]})]
    header = {
        "media_type": outcome.media_type,
        "width": outcome.width,
        "height": outcome.height,
        "file_size": len(outcome.file),
        "blurred_size": len(outcome.blurred),
        "frames": [frame.index for frame in outcome.frames],
        "notes": [note[:MAX_WORDS] for note in outcome.notes[:MAX_NOTES]],
        "views": outcome.view_sizes,
        "pixels": any(frame.rgb for frame in outcome.frames),
    }
    views = (view for frame in outcome.frames for view in frame.views)
    pixels = (frame.rgb for frame in outcome.frames if frame.rgb)
    return [_framed(header), outcome.file, outcome.blurred, *views, *pixels]


def _framed(header: dict[str, object]) -> bytes:
    text = json.dumps(header).encode()
    return LENGTH.pack(len(text)) + text


def parse_header(text: bytes, max_side: int, max_file: int) -> CanonicalHeader | Fault:
    """Return what a header announces. Raises ProtocolError for anything malformed or out of bounds."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the header is not JSON") from error
    if not isinstance(fields, dict):
        raise ProtocolError("the header is not an object")
    if "fault" in fields:
        return _fault(fields)
    return CanonicalHeader(
        media_type=_media_type(fields),
        width=_whole(fields, "width", 1, max_side),
        height=_whole(fields, "height", 1, max_side),
        file_size=_whole(fields, "file_size", 1, max_file),
        blurred_size=_whole(fields, "blurred_size", 1, MAX_BLURRED),
        frames=_frames(fields),
        notes=_notes(fields),
        views=_views(fields),
        pixels=_flag(fields, "pixels"),
    )


def _fault(fields: dict[str, object]) -> Fault:
    code, detail = fields["fault"], fields.get("detail")
    if code not in list(FaultCode) or not _is_words(detail):
        raise ProtocolError("the fault is malformed")
    return Fault(FaultCode(str(code)), str(detail))


def _media_type(fields: dict[str, object]) -> str:
    value = fields.get("media_type")
    if not isinstance(value, str) or value not in MEDIA_TYPES:
        raise ProtocolError("unknown media type")
    return value


def _whole(fields: dict[str, object], name: str, low: int, high: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ProtocolError(f"{name} is not a whole number from {low} to {high}")
    return value


def _frames(fields: dict[str, object]) -> tuple[int, ...]:
    value = fields.get("frames")
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_FRAMES or value[0] != 0:
        raise ProtocolError("frames is not a list of 1 to 4 indices that starts with 0")
    if not all(type(index) is int and 0 <= index < 1 << 16 for index in value):
        raise ProtocolError("a frame index is out of range")
    return tuple(value)


def _notes(fields: dict[str, object]) -> tuple[str, ...]:
    value = fields.get("notes")
    if not isinstance(value, list) or len(value) > MAX_NOTES or not all(map(_is_words, value)):
        raise ProtocolError("notes are malformed")
    return tuple(value)


def _views(fields: dict[str, object]) -> tuple[tuple[int, int], ...]:
    value = fields.get("views")
    if not isinstance(value, list) or len(value) > MAX_VIEWS:
        raise ProtocolError(f"views is not a list of at most {MAX_VIEWS} sizes")
    for size in value:
        if not isinstance(size, list) or len(size) != 2:
            raise ProtocolError("a view's size is not a height and a width")
        if not all(type(side) is int and 1 <= side <= MAX_VIEW_SIDE for side in size):
            raise ProtocolError("a view's side is out of range")
    return tuple((height, width) for height, width in value)


def _flag(fields: dict[str, object], name: str) -> bool:
    value = fields.get(name)
    if not isinstance(value, bool):
        raise ProtocolError(f"{name} is neither true nor false")
    return value


def _is_words(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_WORDS and value.isprintable()


def view_spec(fields: dict[str, Any] | None) -> ViewSpec | None:
    """Return the views that a worker is started for, from what `dataclasses.asdict` made of them."""
    if fields is None:
        return None
    closer = fields["closer"]
    return ViewSpec(
        cell=fields["cell"],
        first=PixelRange(**fields["first"]),
        closer=PixelRange(**closer) if closer else None,
    )


def hello(confinement: Sequence[str]) -> bytes:
    """Return a worker's first message: how it is confined, in words."""
    return _framed({"confinement": list(confinement)})


def parse_hello(text: bytes) -> tuple[str, ...]:
    """Return how a worker says that it is confined. Raises ProtocolError for anything else."""
    try:
        value = json.loads(text)["confinement"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise ProtocolError("the first message is not a hello") from error
    if not isinstance(value, list) or len(value) > MAX_NOTES or not all(map(_is_words, value)):
        raise ProtocolError("the hello is malformed")
    return tuple(value)
