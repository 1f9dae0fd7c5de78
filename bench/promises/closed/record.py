"""Breaks what decisions are kept in: the disk, the database, the key of the evidence and its KMS."""

import asyncio
import resource
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import grpc
import psutil

from bench.fake_kms import FakeKms, FakePlugin, serving
from bench.promises.closed.asking import ALLOWED, LOOK_SECONDS, answers, refuses_to_start, running, sound
from bench.promises.estate import Estate
from ostiary_gateway.store.sealing import create_evidence_key

_KMS_SECONDS = 0.5  # a plug-in's longest time for an answer
_KMS_NOTICED_SECONDS = 2.5


async def disk(estate: Estate, count: int, ends: float) -> Counter[str]:
    """A disk that takes no byte more, as the gateway has it: each write fails in the kernel."""
    process = psutil.Process(estate.gateway.pid)
    _, hard = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        return await answers(estate, count, ends)
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))


def _away(store: Path) -> Callable[[], object]:
    kept = store.rename(store.with_name("away"))
    return lambda: kept.replace(store)


def _emptied(store: Path) -> Callable[[], object]:
    back = _away(store)
    store.touch()
    return back


def _copied(store: Path) -> Callable[[], object]:
    back = _away(store)
    shutil.copy(store.with_name("away"), store)
    return back


def _without_tables(store: Path) -> Callable[[], object]:
    def rename(old: str, new: str) -> None:
        with closing(sqlite3.connect(store, isolation_level=None, timeout=30)) as connection:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename("decisions", "broken")
    return lambda: rename("broken", "decisions")


# What is done to the record's database; each gives back what makes it good.
BROKEN_STORES = (_away, _emptied, _copied, _without_tables)


async def store(estate: Estate, count: int, ends: float) -> Counter[str]:
    """A record whose database is away, empty, a copy of what it was, or without its tables."""
    told: Counter[str] = Counter()
    for damage in BROKEN_STORES:
        mend = await asyncio.to_thread(damage, estate.home / "ostiary.db")
        told += await answers(estate, -(-count // len(BROKEN_STORES)), ends)
        await asyncio.to_thread(mend)
        await sound(estate)
    return told


def _another_key(path: Path) -> None:
    create_evidence_key(path)


def _no_key(path: Path) -> None:
    path.write_text("ostiary-evidence-key-1 AAAA\n", encoding="ascii")


def _nothing(_: Path) -> None:
    """The file stays away."""


BROKEN_KEYS = (_nothing, _another_key, _no_key)


async def evidence_key(estate: Estate, count: int, ends: float) -> Counter[str]:
    """A key-encryption key that is gone, another one, or none: while it is needed, and at a start."""
    told: Counter[str] = Counter()
    path = estate.home / "evidence.key"
    for damage in BROKEN_KEYS:
        kept = path.rename(path.with_name("kept.key"))
        damage(path)
        told += await answers(estate, -(-count // len(BROKEN_KEYS)), ends)
        if not await asyncio.to_thread(refuses_to_start, estate):
            told[ALLOWED] += 1  # a gateway serves that seals what nobody will open
        kept.replace(path)
        await sound(estate)
    return told


def _kms_unwell(plugin: FakePlugin) -> None:
    plugin.healthz = "no route to the KMS"


def _kms_of_another_version(plugin: FakePlugin) -> None:
    plugin.version = "v1beta1"


def _kms_failing(plugin: FakePlugin) -> None:
    plugin.failing["Status"] = grpc.StatusCode.UNKNOWN


def _kms_hanging(plugin: FakePlugin) -> None:
    plugin.slow |= {"Status", "Encrypt", "Decrypt"}


def _kms_that_rotates_and_cannot_encrypt(plugin: FakePlugin) -> None:
    plugin.kms.rotate()
    plugin.failing["Encrypt"] = grpc.StatusCode.PERMISSION_DENIED


BROKEN_KMS = (
    _kms_unwell,
    _kms_of_another_version,
    _kms_failing,
    _kms_hanging,
    _kms_that_rotates_and_cannot_encrypt,
)


async def kms(folder: Path, count: int, seconds: float) -> Counter[str]:
    """A KMS in place of the key file whose plug-in is unwell, stuck, or gone; and at a start, another KMS."""
    socket, plugin = folder / "kms.sock", FakePlugin()
    given = {"socket": str(socket), "timeout_seconds": _KMS_SECONDS, "poll_seconds": 0.2, "grace_seconds": 0}
    settings = {"look_seconds": LOOK_SECONDS, "evidence": {"dir": "evidence", "kms": given}}
    estate, told = Estate(folder, pods=1, settings=settings), Counter[str]()
    share = -(-count // (len(BROKEN_KMS) + 1))

    async def broken() -> None:
        await asyncio.sleep(_KMS_NOTICED_SECONDS)
        told.update(await answers(estate, share, ends))

    async with AsyncExitStack() as stack:
        async with serving(plugin, socket):
            await stack.enter_async_context(running(estate))
            ends = time.monotonic() + seconds
            for damage in BROKEN_KMS:
                await sound(estate)
                damage(plugin)
                await broken()
                plugin.mend()
            await sound(estate)
            right, plugin.kms = plugin.kms, FakeKms()
            if not await asyncio.to_thread(refuses_to_start, estate):
                told[ALLOWED] += 1  # a gateway serves that cannot open what there is
            plugin.kms = right
        await broken()
    return told
