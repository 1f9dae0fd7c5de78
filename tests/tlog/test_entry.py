"""Entries of the log: one spelling each, and a commitment that gives nothing away."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.tlog.entry import Entry, commit

TIMES = st.datetimes(timezones=st.just(UTC))
ENTRY = Entry(datetime(2026, 11, 23, 8, 30, 0, 42, UTC), bytes(range(32)))
ENCODED = (
    b'{"commitment":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",'
    b'"kind":"decision","time":"2026-11-23T08:30:00.000042Z","version":1}'
)


def test_the_form() -> None:
    """The bytes that every auditor's own tools will see, for good."""
    assert ENTRY.encode() == ENCODED
    assert json.dumps(json.loads(ENCODED), sort_keys=True, separators=(",", ":")).encode() == ENCODED


def test_times_are_utc() -> None:
    """A time in another zone is the same time."""
    zone = timezone(timedelta(hours=8))
    assert Entry(ENTRY.time.astimezone(zone), ENTRY.commitment).encode() == ENCODED


@settings(deadline=None)
@given(TIMES, st.binary(min_size=32, max_size=32))
def test_round_trip(time: datetime, commitment: bytes) -> None:
    """What is encoded is decoded to the same."""
    entry = Entry(time, commitment)
    assert Entry.decode(entry.encode()) == entry


@settings(deadline=None)
@given(st.integers(0, len(ENCODED) - 1), st.integers(1, 255))
def test_one_spelling(at: int, mask: int) -> None:
    """Altered bytes are no entry, or another entry; never the same one."""
    data = bytearray(ENCODED)
    data[at] ^= mask
    try:
        assert Entry.decode(bytes(data)) != ENTRY
    except ValueError:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ENCODED + b"\n",
        ENCODED.replace(b"1e1f", b"1E1F"),
        ENCODED.replace(b'"version":1', b'"version":2'),
        ENCODED.replace(b'"decision"', b'"other"'),
        ENCODED.replace(b"2026-11-23", b"2026-13-23"),
        ENCODED.replace(b".000042Z", b"Z"),
        ENCODED.replace(b":1}", b": 1}"),
    ],
    ids=["empty", "newline", "capitals", "version", "kind", "month", "seconds", "space"],
)
def test_refused(data: bytes) -> None:
    """Another form is not canonical, whatever JSON makes of it."""
    with pytest.raises(ValueError, match=r"canonical form|month"):
        Entry.decode(data)


def test_commitment() -> None:
    """HMAC-SHA256 by the standard library's own long way round; another salt, another commitment."""
    salt, record = b"s" * 32, b"record"
    assert commit(salt, record) == hmac.new(salt, record, hashlib.sha256).digest()
    assert commit(b"t" * 32, record) != commit(salt, record)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_salts_have_one_length(length: int) -> None:
    """HMAC would take a salt with a zero behind it for the same salt."""
    with pytest.raises(ValueError, match="32 bytes"):
        commit(bytes(length), b"record")
