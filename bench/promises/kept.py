"""All that keeps checks, opened in one folder without a gateway around it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.reuse.cache import CacheLimits, ObservationCache
from ostiary_gateway.review.erasing import Eraser
from ostiary_gateway.store.database_cases import DatabaseCases, open_cases
from ostiary_gateway.store.database_erasures import DatabaseErasures, open_erasures
from ostiary_gateway.store.database_queue import DatabaseBulkQueue, open_queue
from ostiary_gateway.store.database_recorder import DatabaseRecorder
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.opening import open_recorder
from ostiary_gateway.store.sealing import KeyEncryptionKey

ORIGIN = "prove.ostiary.local/log"
TENANT = "t"
ACTOR = "spiffe://prove.ostiary.local/tenant/t/role/compliance-admin"
KEY = KeyEncryptionKey(b"k" * 32)
TODO = "todo"
"""File of the check ids to erase, a line each."""


@dataclass(frozen=True)
class Record:
    """All that keeps a check, as a gateway has it."""

    recorder: DatabaseRecorder
    cases: DatabaseCases
    queue: DatabaseBulkQueue
    erasures: DatabaseErasures
    evidence: DirectoryEvidence
    cache: ObservationCache

    @property
    def eraser(self) -> Eraser:
        """Erases from all of it."""
        return Eraser(self.cases, self.recorder, self.erasures, self.evidence, self.cache.purge)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Record]:
    """The record in a folder that holds `log.key`."""
    store = folder / "ostiary.db"
    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(
            open_recorder(store=store, log_dir=folder / "log", log_key=folder / "log.key", origin=ORIGIN)
        )
        yield Record(
            recorder,
            await stack.enter_async_context(open_cases(store, ORIGIN)),
            await stack.enter_async_context(open_queue(store, 1_000_000)),
            await stack.enter_async_context(open_erasures(store)),
            await stack.enter_async_context(DirectoryEvidence(folder / "evidence", KEY)),
            ObservationCache(CacheLimits(entries=1_000_000, bytes=1 << 30)),
        )


async def erase_all(record: Record, check_ids: list[str]) -> int:
    """Erase them in turn; how many a legal hold kept."""
    kept = 0
    for check_id in check_ids:
        try:
            await record.eraser.erase(TENANT, check_id, ACTOR, "asked for")
        except OstiaryError as error:
            if error.reason is not Reason.FAILED_PRECONDITION:
                raise
            kept += 1
    return kept
