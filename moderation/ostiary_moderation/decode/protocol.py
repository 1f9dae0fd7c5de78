"""What the pod and a decoding worker say to each other over their socket.

A request is a length and the file. An answer is a length, a JSON header, then the canonical file and the
pixels, whose sizes follow from the header. JSON and raw bytes, never pickle: a worker that a hostile image
has taken over must not be able to run code in the pod, so the reader checks every field before it believes
it.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ostiary_moderation.decode.result import Canonical, Fault, FaultCode

LENGTH = struct.Struct(">I")
MAX_HEADER = 16_384
MAX_NOTES = 32
MAX_WORDS = 400
MAX_FRAMES = 4
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
    frames: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def frame_size(self) -> int:
        """Bytes of one frame."""
        return self.width * self.height * 3


def encode(outcome: Canonical | Fault) -> list[bytes | memoryview]:
    """Return the answer as buffers to be sent one after another."""
    if isinstance(outcome, Fault):
        return [_framed({"fault": outcome.code.value, "detail": outcome.detail[:MAX_WORDS]})]
    header = {
        "media_type": outcome.media_type,
        "width": outcome.width,
        "height": outcome.height,
        "file_size": len(outcome.file),
        "frames": [frame.index for frame in outcome.frames],
        "notes": [note[:MAX_WORDS] for note in outcome.notes[:MAX_NOTES]],
    }
    return [_framed(header), outcome.file, *(frame.rgb for frame in outcome.frames)]


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
        frames=_frames(fields),
        notes=_notes(fields),
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


def _is_words(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_WORDS and value.isprintable()


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
