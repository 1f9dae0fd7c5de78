"""How many decisions a second become durable, through the seam that a gateway uses."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from statistics import median
from typing import Any

from bench.record.decisions import ORIGIN, batches
from ostiary.tlog.keys import create_log_key
from ostiary_gateway.store.opening import open_recorder
from ostiary_gateway.store.sqlite_indexer import indexing

_AT_ONCE = 4096
_SYNCS = 100


def measure(folder: Path, grouped: int, single: int) -> dict[str, Any]:
    """A row: decisions a second, many callers at once and one after the other, and what a sync takes here."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        here = Path(name)
        sync_us = _sync_us(here / "sync")
        rates = _run(_rates(here, grouped, single))
    return {"on": _told(folder), "sync_us": sync_us, **rates}


def _told(folder: Path) -> str:
    return "memory" if folder == Path("/dev/shm") else "disk"  # noqa: S108 - memory is what is meant


def _run(work: Coroutine[Any, Any, dict[str, float]]) -> dict[str, float]:
    try:
        import uvloop  # as `ostiary gateway serve` does
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


async def _rates(folder: Path, grouped: int, single: int) -> dict[str, float]:
    create_log_key(folder / "log.key", ORIGIN)
    lots, few = list(batches(0, grouped, _AT_ONCE)), list(batches(grouped, single, single))
    opened = open_recorder(
        store=folder / "ostiary.db", log_dir=folder / "log", log_key=folder / "log.key", origin=ORIGIN
    )
    async with opened as recorder, indexing(folder / "ostiary.db"):
        gc.collect()
        gc.freeze()  # as a gateway does once it serves
        began, used = time.perf_counter(), time.process_time()
        for lot in lots:
            await asyncio.gather(*map(recorder.record, lot))
        took, processor = time.perf_counter() - began, time.process_time() - used
        began_single = time.perf_counter()
        for each in few[0]:
            await recorder.record(each)
        took_single = time.perf_counter() - began_single
        gc.unfreeze()
    return {
        "grouped_per_s": grouped / took,
        "grouped_cpu_us": processor / grouped * 1e6,
        "single_per_s": single / took_single,
    }


def _sync_us(path: Path) -> float:
    """What it takes until a page is on the device, microseconds: no commit is quicker."""
    taken = []
    with path.open("wb") as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - began) * 1e6)
    return median(taken)
