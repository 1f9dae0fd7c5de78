"""The process that writes items: it tells the truth about each, and lives as long as its gateway."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from ostiary_gateway.store.writing_process import WritingProcess

PUTTER = Path(__file__).with_name("endless_putter.py")


@pytest.fixture
async def writing(tmp_path: Path) -> AsyncIterator[WritingProcess]:
    process = WritingProcess(tmp_path / "items")
    yield process
    await process.close()


def writers(of: int | None = None) -> list[psutil.Process]:
    """The processes that write for a process; for this one."""
    return [
        each
        for each in psutil.Process(of).children()
        if any("writing_main" in part for part in each.cmdline())
    ]


def wait_until(holds: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


async def test_every_size_and_many_at_once(writing: WritingProcess, tmp_path: Path) -> None:
    """Whatever is written at once, each item is what its caller gave, through one process."""
    items = {f"t/check-{number}/n": os.urandom(number * 9_973) for number in range(100)}
    await asyncio.gather(*(writing.write(path, data) for path, data in items.items()))
    assert {path: (tmp_path / "items" / path).read_bytes() for path in items} == items
    assert len(writers()) == 1


async def test_each_hears_its_own_failure(writing: WritingProcess, tmp_path: Path) -> None:
    """What cannot be written fails for its caller alone, with the system's own reason."""
    (tmp_path / "items" / "t").mkdir(parents=True)
    (tmp_path / "items" / "t" / "in-the-way").write_text("a file")
    paths = [f"t/{'in-the-way' if number % 2 else f'check-{number}'}/n" for number in range(20)]
    outcomes = await asyncio.gather(*(writing.write(path, b"x") for path in paths), return_exceptions=True)
    reasons = [outcome.errno if isinstance(outcome, OSError) else outcome for outcome in outcomes]
    assert reasons == [None, errno.EEXIST] * 10


async def test_it_ends_and_starts_again(writing: WritingProcess, tmp_path: Path) -> None:
    """Killed, it leaves nobody waiting and nothing acknowledged unwritten; what comes next has a new one."""
    await writing.write("t/check-0/n", b"x")
    [first] = writers()
    first.suspend()
    pending = [
        asyncio.create_task(writing.write(f"t/check-{number}/n", b"y" * 300_000)) for number in (1, 2, 3)
    ]
    await asyncio.sleep(0)
    first.kill()
    for outcome in await asyncio.gather(*pending, return_exceptions=True):
        assert isinstance(outcome, OSError)
        assert outcome.errno == errno.EPIPE
    await writing.write("t/check-1/n", b"z")
    assert (tmp_path / "items/t/check-1/n").read_bytes() == b"z"
    [second] = writers()
    assert second.pid != first.pid


async def test_one_who_gave_up_holds_nobody_up(writing: WritingProcess, tmp_path: Path) -> None:
    """A caller whose deadline has passed is not told, and the others are."""
    await writing.write("t/check-0/n", b"x")
    gone = asyncio.create_task(writing.write("t/check-1/n", b"y"))
    await asyncio.sleep(0)
    gone.cancel()
    await writing.write("t/check-2/n", b"z")
    assert (tmp_path / "items/t/check-2/n").read_bytes() == b"z"


async def test_signals_to_all_do_not_end_it(writing: WritingProcess, tmp_path: Path) -> None:
    """Ctrl-C and a stop of the whole group leave it to the gateway, which drains first."""
    await writing.write("t/check-0/n", b"x")
    [writer] = writers()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        writer.send_signal(number)
    await writing.write("t/check-1/n", b"y")
    assert writers() == [writer]


async def test_closing_ends_it(writing: WritingProcess) -> None:
    """Also one that was never asked for anything; and it can be closed again."""
    await WritingProcess(Path("nowhere")).close()
    await writing.write("t/check-0/n", b"x")
    [writer] = writers()
    for _ in range(2):
        await writing.close()
    assert not writer.is_running()


def test_a_gateway_that_is_killed_takes_it_along(tmp_path: Path) -> None:
    """It does not go on writing for somebody who is not there."""
    gateway = subprocess.Popen([sys.executable, PUTTER, tmp_path], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: writers(gateway.pid) and any(tmp_path.rglob("canonical-*")))
        [writer] = writers(gateway.pid)
    finally:
        gateway.kill()
        gateway.wait()
    wait_until(lambda: not writer.is_running() or writer.status() == psutil.STATUS_ZOMBIE)


async def test_it_cannot_be_started(writing: WritingProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nothing is written, and that is said; with it again, things are."""
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(OSError, match="/nowhere/python"):
            await writing.write("t/check-0/n", b"x")
    await writing.write("t/check-0/n", b"x")
