"""What the pod believes of a worker."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary_moderation.decode.protocol import (
    LENGTH,
    CanonicalHeader,
    ProtocolError,
    encode,
    hello,
    parse_header,
    parse_hello,
)
from ostiary_moderation.decode.result import Fault, FaultCode, Frame, canonical

GOOD = {
    "media_type": "image/png", "width": 2, "height": 3, "file_size": 8, "frames": [0, 4], "notes": ["a note"],
}  # fmt: skip


def header(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_a_canonical_image_survives_the_trip() -> None:
    """The header announces what follows: the file, then each frame."""
    image = canonical(
        b"raw", media_type="image/png", size=(2, 3), file=b"\x89PNG....",
        frames=[Frame(0, bytes(18)), Frame(4, bytes(18))], notes=["a note"],
    )  # fmt: skip
    first, file, *frames = encode(image)
    parsed = parse_header(bytes(first[LENGTH.size :]), 4096, 100)
    assert parsed == CanonicalHeader("image/png", 2, 3, 8, (0, 4), ("a note",))
    assert file == image.file
    assert [len(frame) for frame in frames] == [parsed.frame_size] * 2


def test_a_fault_survives_the_trip() -> None:
    """Code and detail arrive as they were."""
    fault = Fault(FaultCode.TOO_LARGE, "too many pixels")
    (only,) = encode(fault)
    assert parse_header(bytes(only[LENGTH.size :]), 4096, 100) == fault


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"\x80", b"null", b"[" * 10_000,
        b'{"fault": "fine", "detail": ""}', b'{"fault": "empty"}',
        header(media_type="text/html"), header(width=0), header(width=4097), header(height=True),
        header(height=1.5), header(file_size=101), header(file_size=-1), header(frames=[]),
        header(frames=[1]),
        header(frames=[0] * 5), header(frames=[0, -1]), header(frames="0"), header(notes="x"),
        header(notes=["\x1b[2J"]), header(notes=["x" * 401]), header(notes=["x"] * 33), header(notes=[1]),
    ],
)  # fmt: skip
def test_malformed_headers_are_refused(text: bytes) -> None:
    """A header that breaks any rule is not believed in part."""
    with pytest.raises(ProtocolError):
        parse_header(text, 4096, 100)


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=200) | st.from_regex(rb'\{"[a-z_]+": [0-9\[\]"a-z, ]*\}', fullmatch=True))
def test_only_protocol_errors_come_of_junk(text: bytes) -> None:
    """Junk in a header or a hello can raise nothing but ProtocolError."""
    for parse in (lambda: parse_header(text, 4096, 100), lambda: parse_hello(text)):
        try:
            parse()
        except ProtocolError:
            continue


def test_hello_says_how_the_worker_is_confined() -> None:
    """The first message carries words for the log."""
    assert parse_hello(hello(["no network"])[LENGTH.size :]) == ("no network",)
