"""The published folder: always a whole log, in the layout of tlog-tiles."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.folder import LogFolder

Decision = Callable[..., NewDecision]


async def record(recorder: Any, decision: Decision, start: int, count: int) -> None:
    await asyncio.gather(*(recorder.record(decision(i)) for i in range(start, start + count)))


async def test_growing(home: Any, decision: Decision) -> None:
    """After each step the log is whole, and extends all that it was before."""
    trusted, size = [], 0
    for count in (1, 2, 252, 1, 1, 254, 1, 1, 90):
        async with home.open() as recorder:
            await record(recorder, decision, size, count)
        size += count
        trusted.append(home.audit(trusted).checkpoint)
        assert trusted[-1].size == size


async def test_the_layout(home: Any, decision: Decision) -> None:
    """The files are those of the specification; partial tiles go once the full one is there."""
    async with home.open() as recorder:
        await record(recorder, decision, 0, 100)
    assert files(home) == {"checkpoint", "tile/0/000.p/100", "tile/entries/000.p/100"}
    async with home.open() as recorder:
        await record(recorder, decision, 100, 160)
    assert files(home) >= {
        "checkpoint",
        "tile/0/000",
        "tile/0/001.p/4",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/4",
    }
    assert not [file for file in files(home) if file.startswith(("tile/0/000.p", "tile/entries/000.p"))]


def files(home: Any) -> set[str]:
    return {path.relative_to(home.log).as_posix() for path in home.log.rglob("*") if path.is_file()}


async def test_published_while_running(
    home: Any, decision: Decision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to stop the gateway to get the newest checkpoint, and it is written last."""
    loop, published = asyncio.get_running_loop(), asyncio.Event()
    write_checkpoint = LogFolder.write_checkpoint

    def write_and_tell(folder: LogFolder, note: str) -> None:
        write_checkpoint(folder, note)
        loop.call_soon_threadsafe(published.set)

    monkeypatch.setattr(LogFolder, "write_checkpoint", write_and_tell)
    async with home.open() as recorder, asyncio.timeout(30):
        await recorder.record(decision(1))
        await published.wait()
        assert home.audit().checkpoint.size == 1


async def test_catching_up(home: Any, decision: Decision) -> None:
    """A folder that was lost is published again from the database when the gateway starts."""
    async with home.open() as recorder:
        await record(recorder, decision, 0, 300)
    before = {file: (home.log / file).read_bytes() for file in files(home)}
    home.log.rename(home.gateway / "lost")
    async with home.open():
        pass
    assert {file: (home.log / file).read_bytes() for file in files(home)} == before


async def test_failing_to_publish_loses_nothing(home: Any, decision: Decision) -> None:
    """While the folder cannot be written, decisions are recorded; once it can, they are published."""
    async with home.open() as recorder:
        home.log.mkdir(exist_ok=True)
        (home.log / "tile").write_text("in the way")
        await record(recorder, decision, 0, 5)
        assert not (home.log / "checkpoint").exists()
        (home.log / "tile").unlink()
    assert home.audit().checkpoint.size == 5


async def test_a_tampered_checkpoint_is_not_built_upon(home: Any, decision: Decision) -> None:
    """The publisher leaves what it did not write, for auditors to find."""
    async with home.open() as recorder:
        await record(recorder, decision, 0, 5)
    note = (home.log / "checkpoint").read_bytes()
    async with home.open() as recorder:
        (home.log / "checkpoint").write_bytes(note.replace(b"\n5\n", b"\n4\n"))
        await record(recorder, decision, 5, 5)
    assert (home.log / "checkpoint").read_bytes() == note.replace(b"\n5\n", b"\n4\n")
    with pytest.raises(Exception, match="checkpoint does not verify"):
        home.audit()


async def test_leftovers_of_a_crash_are_cleared(home: Any, decision: Decision) -> None:
    """A half-written file is never mistaken for a tile, and does not stay."""
    async with home.open() as recorder:
        await record(recorder, decision, 0, 5)
    (home.log / ".staging").mkdir()
    (home.log / ".staging" / "000").write_bytes(b"half")
    with pytest.raises(Exception, match="does not belong"):
        home.audit()
    async with home.open():
        pass
    assert home.audit().checkpoint.size == 5
