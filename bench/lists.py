"""How long a million known images take to read, how long an image takes to be looked up, and how much memory.

`python -m bench.lists [--entries 1000000] [--lookups 2000]` writes lists, reads each as a gateway does, in a
process of its own, and looks up images that are on it and images that are not. Every look-up is checked: what
was put on a list is found, and what was not is not. `bench/results/lists.json` keeps the figures.
"""

import argparse
import gc
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.report import Bar, Report, installed, show, write
from ostiary_gateway.list_source import read_folder

NAME = "lists"
MOST_MS = 5.0
MOST_MB = 300.0
_DISTANCE = 31
_SEED = 1
_CENTRES = 1000
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_HEADER = (
    "{{name: known, version: '1', kind: HASH_KIND_{kind}, action: ACTION_BLOCK,"
    " policy: prohibited_ads, label: qr_code, source: exchange}}\n"
)


@dataclass(frozen=True)
class Case:
    """One kind of list.

    `crowd`: entries are copies of so many images, each with up to 60 of 256 bits changed; 0: all unlike.
    """

    name: str
    kind: str
    crowd: int = 0


CASES = (
    Case("PDQ, distance 31, all unlike", "PDQ"),
    Case(f"PDQ, distance 31, copies of {_CENTRES:,} images", "PDQ", crowd=_CENTRES),
    Case("SHA-256", "SHA256"),
)


def flipped(rng: random.Random, original: bytes, bits: int) -> bytes:
    """`original` (32 bytes) with so many of its bits changed."""
    value = int.from_bytes(original)
    for bit in rng.sample(range(256), bits):
        value ^= 1 << bit
    return value.to_bytes(32)


def entries(case: Case, count: int) -> Iterator[bytes]:
    """The hashes of a list, the same ones each time."""
    rng = random.Random(_SEED)
    centres = [rng.randbytes(32) for _ in range(case.crowd)]
    for number in range(count):
        if centres:
            yield flipped(rng, centres[number % case.crowd], rng.randrange(61))
        else:
            yield rng.randbytes(32)


def write_list(folder: Path, case: Case, count: int) -> None:
    """NAME.yaml and NAME.csv, each entry with a note of some 20 characters."""
    (folder / "known.yaml").write_text(_HEADER.format(kind=case.kind), encoding="utf-8")
    with (folder / "known.csv").open("w", encoding="utf-8") as file:
        file.write("hash,note\n")
        for number, each in enumerate(entries(case, count)):
            file.write(f"{each.hex()},case {number:08} of 2026\n")


def measure(folder: Path, case: Case, count: int, lookups: int) -> dict[str, Any]:
    """A row: seconds to read, megabytes, milliseconds of a look-up.

    Raises:
        AssertionError: a look-up had the wrong answer.
    """
    gc.collect()
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    started = time.perf_counter()
    lists, errors = read_folder(folder, {})
    seconds = time.perf_counter() - started
    assert not errors, errors
    gc.collect()
    held, peak = psutil.Process().memory_info().rss - before, _peak() - before
    known = lists["known"].list
    times, processor = [], []
    for wanted, listed in _wanted(case, count, lookups):
        began, used = time.perf_counter(), time.thread_time()
        hit = known.find(wanted, "", _NOW)
        processor.append((time.thread_time() - used) * 1e3)
        times.append((time.perf_counter() - began) * 1e3)
        assert (hit is not None) or not listed
        assert hit is None or listed or case.crowd
    times.sort()
    processor.sort()
    return {
        "list": case.name,
        "entries": len(known),
        "read_s": seconds,
        "held_mb": held / 1e6,
        "peak_mb": peak / 1e6,
        "p50_ms": median(times),
        "p99_ms": times[len(times) * 99 // 100],
        "most_ms": times[-1],
        "p99_cpu_ms": processor[len(processor) * 99 // 100],
    }


def _wanted(case: Case, count: int, lookups: int) -> Iterator[tuple[bytes, bool]]:
    """Hashes to look up, and whether they are on the list: every second one is, changed as far as may be."""
    rng = random.Random(_SEED + 1)
    most = _DISTANCE if case.kind == "PDQ" else 0
    every = max(1, 2 * count // lookups)
    listed = (each for number, each in enumerate(entries(case, count)) if number % every == 0)
    for each in listed:
        yield flipped(rng, each, rng.randint(0, most)), True
        yield rng.randbytes(32), False


def _peak() -> int:
    """The most resident bytes since the high-water mark was cleared."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def run(count: int, lookups: int) -> list[dict[str, Any]]:
    """A row per case, each measured in a new process."""
    rows = []
    for case in CASES:
        with (
            tempfile.TemporaryDirectory() as folder,
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh,
        ):
            write_list(Path(folder), case, count)
            rows.append(fresh.submit(measure, Path(folder), case, count, lookups).result())
    return rows


def report(rows: list[dict[str, Any]], settings: dict[str, Any]) -> Report:
    """What was measured, beside its bars."""
    return Report(
        name=NAME,
        rows=rows,
        bars=[
            Bar(
                "look-up p99, milliseconds, worst list",
                max(row["p99_ms"] for row in rows),
                MOST_MS,
                "at most",
            ),
            Bar(
                "memory of a list, MB, while it is read",
                max(row["peak_mb"] for row in rows),
                MOST_MB,
                "at most",
            ),
        ],
        settings=settings,
        versions=installed(["ostiary", "protobuf"]),
    )


def main() -> int:
    """Run, print and write. Exit code 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of each list (1,000,000)")
    parser.add_argument("--lookups", type=int, default=2000, help="images looked up in each (2,000)")
    options = parser.parse_args()
    result = report(run(options.entries, options.lookups), vars(options))
    show(result)
    print(f"written to {write(result)}")
    return 0 if all(bar.met for bar in result.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
