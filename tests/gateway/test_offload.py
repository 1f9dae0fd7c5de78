"""Short work stays where it is, long work leaves the event loop free."""

import hashlib
import threading

import pytest

from ostiary_gateway.offload import offload, sha256


@pytest.mark.parametrize("short", [True, False])
async def test_where_work_is_done(short: bool) -> None:
    """Short work is done at once, on the loop's own thread; other work on another."""
    there = await offload(short, threading.get_ident)
    assert (there == threading.get_ident()) is short


@pytest.mark.parametrize("short", [True, False])
async def test_what_work_raises(short: bool) -> None:
    """It reaches whoever waits, wherever the work was done."""
    with pytest.raises(ValueError, match="invalid literal"):
        await offload(short, int, "seven")


@pytest.mark.parametrize("size", [0, 1_000, 2_000_000])
async def test_digests(size: int) -> None:
    """They are the same for few bytes and for many."""
    assert await sha256(bytes(size)) == hashlib.sha256(bytes(size)).digest()
