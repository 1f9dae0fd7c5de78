"""What callers have at hand becomes a request."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.client.request import CHUNK_BYTES, build_request, chunks, fits_one_message, stream_header
from ostiary.v1.image_pb2 import Image
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.errors import OstiaryError, Reason

MIB = 1 << 20


def test_paths_and_bytes(tmp_path: Path) -> None:
    """Paths, text or not, are read and named; bytes have no name."""
    file = tmp_path / "cup.jpg"
    file.write_bytes(b"cup")
    request = build_request([file, str(file), b"raw"], {"title": "Cup"}, None, None)
    assert [(image.data, image.name) for image in request.images] == [
        (b"cup", "cup.jpg"),
        (b"cup", "cup.jpg"),
        (b"raw", ""),
    ]
    assert request.listing.title == "Cup"
    assert not request.HasField("wants")


def test_wants() -> None:
    """What is not wanted is not asked for."""
    wants = build_request(b"x", {}, ["description"], None).wants
    assert (wants.flags, wants.description, wants.attributes) == (False, True, False)


def test_keys_are_random_unless_given() -> None:
    """Two checks never share a key by accident; an own key is kept, and an empty one means none."""
    assert build_request(b"x", {}, None, None).idempotency_key
    assert len({build_request(b"x", {}, None, None).idempotency_key for _ in range(100)}) == 100
    assert build_request(b"x", {}, None, "mine").idempotency_key == "mine"
    assert build_request(b"x", {}, None, "").idempotency_key == ""


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that cannot be read is named, with its place in the request."""
    with pytest.raises(OstiaryError, match=r"nothing\.jpg: No such file") as caught:
        build_request([b"x", tmp_path / "nothing.jpg"], {}, None, None)
    assert caught.value.reason is Reason.INVALID_FIELD
    assert [violation.field for violation in caught.value.violations] == ["images[1]"]


@pytest.mark.parametrize(
    ("size", "fits"),
    [(4 * MIB - 100, True), (4 * MIB, False), (25_000_000, False)],
    ids=["below", "no room for the rest", "large"],
)
def test_what_fits_one_message(size: int, fits: bool) -> None:
    """A request of at most 4 MiB in all goes by Check."""
    assert fits_one_message(CheckRequest(images=[Image(data=bytes(size))])) is fits


@settings(max_examples=25, deadline=None)  # megabytes are copied; the machine may be busy
@given(st.lists(st.integers(0, 3 * MIB), min_size=1, max_size=3))
def test_chunks(sizes: list[int]) -> None:
    """Chunks are at most 1 MiB, never span two images, and add up to the sizes that the header declares."""
    request = CheckRequest(
        images=[Image(data=bytes([n]) * size, name=str(n)) for n, size in enumerate(sizes)]
    )
    header = stream_header(request)
    pieces = list(chunks(request))
    assert list(header.sizes) == sizes
    assert [image.data for image in header.request.images] == [b""] * len(sizes)
    assert [image.name for image in header.request.images] == [str(n) for n in range(len(sizes))]
    assert all(0 < len(piece) <= CHUNK_BYTES and len(set(piece)) == 1 for piece in pieces)
    assert b"".join(pieces) == b"".join(image.data for image in request.images)


def test_header_keeps_the_rest() -> None:
    """Key, listing and wants travel in the header."""
    request = build_request(b"x", {"title": "Cup", "territory": "DE"}, ["flags"], "key")
    header = stream_header(request).request
    assert (header.idempotency_key, header.listing, header.wants) == ("key", request.listing, request.wants)
