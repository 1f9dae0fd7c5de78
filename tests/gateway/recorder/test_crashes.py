"""What survives kill -9, a full disk and a broken database."""

import asyncio
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.recorder import NewDecision

Decision = Callable[..., NewDecision]
WRITER = Path(__file__).with_name("crashing_writer.py")


async def write_until_killed(home: Any, first: int, acknowledged: int) -> list[str]:
    """Kill a writer in the middle, once it has acknowledged so many; all that it acknowledged."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, WRITER, home.gateway, str(first), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(acknowledged)]
    process.kill()
    rest = await process.stdout.read()
    await process.wait()
    # The last line may be cut; a whole one was acknowledged.
    whole = [line for line in (b"".join(lines) + rest).splitlines(keepends=True) if line.endswith(b"\n")]
    return [line.decode().strip() for line in whole]


async def test_killed(home: Any) -> None:
    """After each kill, every acknowledged decision is there, and the log verifies and goes on."""
    acknowledged: list[str] = []
    for first, count in ((0, 1), (10_000, 137), (20_000, 300)):
        ids = await write_until_killed(home, first, count)
        assert len(ids) >= count
        acknowledged += ids
        async with home.open() as recorder:
            for check_id in acknowledged:
                found = await recorder.get("demo", check_id)
                assert found is not None, check_id
                assert found.response.check_id == check_id
        assert home.audit().decisions >= len(acknowledged)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Files of this process cannot grow beyond `size` bytes: writes fail as they do on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_full_disk(home: Any, decision: Decision) -> None:
    """While the disk is full nothing is acknowledged; when it has room again, so has the record."""
    async with home.open() as recorder:
        for i in range(5):
            await recorder.record(decision(i))
        wal = home.store.with_name("ostiary.db-wal").stat().st_size
        with full_disk(wal), capture_logs() as logs:
            tries = [recorder.record(decision(i, key=f"k{i}")) for i in range(10, 40)]
            outcomes = await asyncio.gather(*tries, return_exceptions=True)
            assert await recorder.get("demo", decision(1).check_id) is not None
        assert {getattr(outcome, "reason", outcome) for outcome in outcomes} == {Reason.STORE_UNAVAILABLE}
        assert [entry["event"] for entry in logs].count("store failed") == 1
        assert await recorder.find("demo", "k10") is None
        response = await recorder.record(decision(10, key="k10"))
        assert response.receipt.log_index == 5
    assert home.audit().decisions == 6


async def test_broken_database(home: Any, decision: Decision) -> None:
    """A database that fails is an error for writers and readers, in words, until it is mended."""
    async with home.open() as recorder:
        await recorder.record(decision(1, key="k"))
        home.sql("ALTER TABLE decisions RENAME TO broken")
        for call in (
            recorder.record(decision(2)),
            recorder.find("demo", "k"),
            recorder.get("demo", decision(1).check_id),
        ):
            with pytest.raises(OstiaryError, match="nothing was decided") as caught:
                await call
            assert caught.value.reason is Reason.STORE_UNAVAILABLE
        home.sql("ALTER TABLE broken RENAME TO decisions")
        await recorder.record(decision(2))
        assert (await recorder.find("demo", "k")).response.check_id == decision(1).check_id
    assert home.audit().decisions == 2
