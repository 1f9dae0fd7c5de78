"""Erasure that is cut short anywhere is finished by whoever comes next."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.site import until
from ostiary.v1.record_pb2 import EventComment, EventRecord
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.case_log import RecordedEvent
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.review.erasing import Eraser, Erasure
from ostiary_gateway.store.database_cases import DatabaseCases, open_cases
from ostiary_gateway.store.database_erasures import DatabaseErasures, open_erasures
from ostiary_gateway.store.database_recorder import DatabaseRecorder
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.sealing import KeyEncryptionKey

Decision = Callable[..., NewDecision]
ACTOR = "spiffe://ostiary.local/tenant/demo/role/compliance-admin"
CUT = OstiaryError(Reason.STORE_UNAVAILABLE, "cut short")


@dataclass
class Keeper:
    """A record, its evidence, and a place to fail at: before a step, or behind it."""

    recorder: DatabaseRecorder
    cases: DatabaseCases
    erasures: DatabaseErasures
    evidence: DirectoryEvidence
    cut: str = ""

    def __post_init__(self) -> None:
        self.forgotten: list[str] = []
        self.eraser = Eraser(self.cases, self, self, self, lambda tenant, check: self.forgotten.append(check))  # type: ignore[arg-type]

    def _step(self, name: str) -> None:
        if self.cut == name:
            raise CUT

    async def append(self, event: EventRecord, *, after: int | None = None) -> RecordedEvent:
        self._step("before the tombstone")
        recorded = await self.recorder.append(event, after=after)
        self._step("behind the tombstone")
        return recorded

    async def names(self, tenant: str, check_id: str) -> list[str]:
        return await self.evidence.names(tenant, check_id)

    async def shred(self, tenant: str, check_id: str) -> None:
        await self.evidence.shred(tenant, check_id)
        self._step("behind the evidence")

    async def unfinished(self, most: int) -> list[Erasure]:
        return await self.erasures.unfinished(most)

    async def since(self, log_index: int) -> tuple[list[Erasure], int]:
        return await self.erasures.since(log_index)

    async def submissions(self, erasure: Erasure) -> list[str]:
        return await self.erasures.submissions(erasure)

    async def complete(self, erasures: Sequence[Erasure]) -> None:
        self._step("before the tables")
        await self.erasures.complete(erasures)

    async def sweep(self) -> None:
        """One round of what a gateway does beside."""
        task = asyncio.create_task(self.eraser.run(3600))
        for _ in range(1000):
            if not await self.erasures.unfinished(1):
                break
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def keeper(home: Any) -> Callable[[], Any]:
    """Opens a record, as another process would."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Keeper]:
        async with AsyncExitStack() as stack:
            yield Keeper(
                await stack.enter_async_context(home.open()),
                await stack.enter_async_context(open_cases(home.store, "ostiary.local/log")),
                await stack.enter_async_context(open_erasures(home.store)),
                await stack.enter_async_context(
                    DirectoryEvidence(home.gateway / "evidence", KeyEncryptionKey(b"k" * 32))
                ),
            )

    return opened


async def fill(keeper: Keeper, new: NewDecision) -> None:
    await keeper.recorder.record(new)
    await keeper.evidence.put("demo", new.check_id, "canonical-0", b"pixels")


def traces(folder: Path) -> list[str]:
    """Files that still hold what the decision said."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if "加微信 abc123".encode() in _bytes(path)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # the log's publisher has moved it meanwhile
        return b""


STEPS = ("before the tombstone", "behind the tombstone", "behind the evidence", "before the tables")


@pytest.mark.parametrize("step", STEPS)
async def test_cut_short(home: Any, keeper: Any, decision: Decision, step: str) -> None:
    """Before the tombstone nothing has happened; behind it a later start finishes, a later call agrees."""
    new = decision(0)
    async with keeper() as first:
        await fill(first, new)
        first.cut = step
        with pytest.raises(OstiaryError, match="cut short"):
            await first.eraser.erase("demo", new.check_id, ACTOR, "asked for")
    began = step != "before the tombstone"
    async with keeper() as second:
        await second.sweep()
        assert bool(traces(home.gateway)) is not began
        tombstone = await second.eraser.erase("demo", new.check_id, ACTOR, "asked for")
        assert not traces(home.gateway)
        assert (tombstone.log_index, tombstone.record.reason) == (1, "asked for")
        assert new.check_id in second.forgotten
    assert home.audit().decisions == 1


async def test_a_reader_that_does_not_end(home: Any, keeper: Any, decision: Decision) -> None:
    """While somebody reads an old state, files still hold the bytes: that is told, and made up for."""
    new = decision(0)
    async with keeper() as opened:
        await fill(opened, new)
        with closing(sqlite3.connect(home.store, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM decisions").fetchone()
            with pytest.raises(OstiaryError, match="but for the write-ahead log") as caught:
                await opened.eraser.erase("demo", new.check_id, ACTOR, "asked for")
            assert caught.value.reason is Reason.STORE_UNAVAILABLE
            assert traces(home.gateway)
        await opened.sweep()
        assert not traces(home.gateway)


async def test_written_while_the_tombstone_was(home: Any, keeper: Any, decision: Decision) -> None:
    """A comment that came just before the tombstone is named by a second one, and goes too."""
    new = decision(0)
    async with keeper() as opened:
        await fill(opened, new)
        case = await opened.cases.get("demo", new.check_id)
        event = EventRecord(
            check_id=new.check_id,
            tenant="demo",
            actor=ACTOR,
            kind="commented",
            comment=EventComment(text="加微信 abc123"),
        )
        await opened.recorder.append(event)

        async def as_before(tenant: str, check_id: str) -> Any:
            opened.cases.get = actual  # type: ignore[method-assign]
            return case

        actual = opened.cases.get
        opened.cases.get = as_before  # type: ignore[method-assign]
        await opened.eraser.erase("demo", new.check_id, ACTOR, "asked for")
        found = await opened.cases.get("demo", new.check_id)
        assert found is not None
        named = [list(event.record.erasure.events) for event in found.events if event.record.kind == "erased"]
        assert named == [[], [1]]
        assert not traces(home.gateway)
    assert home.audit().decisions == 1


async def test_what_others_erase_is_forgotten(home: Any, keeper: Any, decision: Decision) -> None:
    """A gateway that did not erase it itself purges it from memory all the same."""
    new = decision(0)
    async with keeper() as one, keeper() as other:
        await fill(one, new)
        sweeping = asyncio.create_task(other.eraser.run(0.01))
        await one.eraser.erase("demo", new.check_id, ACTOR, "asked for")
        await until(lambda: new.check_id in other.forgotten)
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
