"""What the pod believes of a worker."""

import json
from dataclasses import asdict

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
    view_spec,
)
from ostiary_moderation.decode.result import Fault, FaultCode, Frame, canonical
from ostiary_moderation.views import PixelRange, ViewSpec

GOOD = {
    "media_type": "image/png", "width": 2, "height": 3, "file_size": 8, "blurred_size": 3, "frames": [0, 4],
    "notes": ["a note"], "views": [[1, 2]], "pixels": True,
}  # fmt: skip


def header(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_a_canonical_image_survives_the_trip() -> None:
    """The header announces what follows: file, blurred rendition, each frame's views, each frame's pixels."""
    frames = [Frame(0, bytes(18), (bytes(6), bytes(12))), Frame(4, bytes(18), (bytes(6), bytes(12)))]
    image = canonical(
        b"raw", media_type="image/png", size=(2, 3), file=b"\x89PNG....", blurred=b"\xff\xd8\xff",
        frames=frames, notes=["a note"], view_sizes=[(1, 2), (2, 2)],
    )  # fmt: skip
    first, file, blurred, *rest = encode(image)
    parsed = parse_header(bytes(first[LENGTH.size :]), 4096, 100)
    assert parsed == CanonicalHeader(
        "image/png", 2, 3, 8, 3, (0, 4), ("a note",), views=((1, 2), (2, 2)), pixels=True
    )
    assert (file, blurred) == (image.file, image.blurred)
    assert [len(part) for part in rest] == [*parsed.view_bytes * 2, *[parsed.pixel_bytes] * 2]
    assert parsed.body_bytes == len(file) + len(blurred) + sum(map(len, rest))


def test_pixels_that_nobody_wants_do_not_travel() -> None:
    """Without them an answer is the file, its blurred rendition and the views."""
    image = canonical(
        b"raw", media_type="image/png", size=(2, 3), file=b"\x89PNG....", blurred=b"\xff\xd8\xff",
        frames=[Frame(0, b"", (bytes(6),))], notes=[], view_sizes=[(1, 2)],
    )  # fmt: skip
    first, *rest = encode(image)
    parsed = parse_header(bytes(first[LENGTH.size :]), 4096, 100)
    assert isinstance(parsed, CanonicalHeader)
    assert (parsed.pixels, parsed.pixel_bytes, parsed.body_bytes) == (False, 0, 17)
    assert rest == [image.file, image.blurred, bytes(6)]


@pytest.mark.parametrize(
    "spec",
    [None, ViewSpec(32, PixelRange(1, 2)), ViewSpec(32, PixelRange(1, 2), PixelRange(3, 4))],
    ids=["none", "one", "with a closer one"],
)
def test_a_worker_is_told_which_views_to_make(spec: ViewSpec | None) -> None:
    """What the pod writes as JSON is what the worker reads."""
    assert view_spec(json.loads(json.dumps(spec and asdict(spec)))) == spec


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
        header(height=1.5), header(file_size=101), header(file_size=-1),
        header(blurred_size=0), header(blurred_size=16_385), header(frames=[]),
        header(frames=[1]),
        header(frames=[0] * 5), header(frames=[0, -1]), header(frames="0"), header(notes="x"),
        header(views=None), header(views=[[1, 2]] * 3), header(views=[1]), header(views=[[1]]),
        header(views=[[1, 2, 3]]), header(views=[[0, 1]]), header(views=[[1, 65_537]]),
        header(views=[[True, 1]]), header(views=[[1.0, 1]]), header(views={"1": 2}),
        header(pixels=1), header(pixels=None), header(pixels="yes"),
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
