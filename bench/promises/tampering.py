"""Promise 12: tampering shows, and a million records are verified within a minute."""

import asyncio
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from typer.testing import CliRunner

from bench.promises.contract import Outcome, Promise
from bench.record.decisions import fill
from ostiary.cli.audit import app
from ostiary.cli.audit.locate import Target
from ostiary.cli.audit.verify import Audit
from ostiary.tlog.keys import create_log_key, load_verifier_key
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import EventRecord, EventView
from ostiary_gateway.ids import new_check_id
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.opening import open_recorder

ORIGIN = "prove.ostiary.local/log"
DECISIONS, EVENTS = 540, 60
CASES = 10_000
FULL_CASES = CASES
RECORDS, FEW_RECORDS = 1_000_000, 5_000
# Making a million records takes some minutes: a short run makes fewer.
FULL_SECONDS = 900.0
MOST_SECONDS = 60.0
LISTED = Path(__file__).resolve().parents[2] / "build/tampering.jsonl"


async def write_log(folder: Path) -> None:
    """A record of decisions, and of what happened to them, with its published log, as a gateway leaves it."""
    key = folder / "log.key"
    create_log_key(key, ORIGIN)
    # Published when it is closed, and not on the way: older partial tiles, which may go, would stay beside.
    opened = open_recorder(
        store=folder / "ostiary.db",
        log_dir=folder / "log",
        log_key=key,
        origin=ORIGIN,
        publish_interval=600,
    )
    async with opened as recorder:
        checks = [decision(number) for number in range(DECISIONS)]
        await asyncio.gather(*map(recorder.record, checks))
        await asyncio.gather(*(recorder.append(looked_at(check)) for check in checks[:EVENTS]))


def decision(number: int) -> NewDecision:
    """A decision like a gateway's, each of its own tenant, key and text."""
    check_id = new_check_id()
    return NewDecision(
        check_id=check_id,
        tenant=f"tenant-{number % 7}",
        caller=f"spiffe://prove.ostiary.local/tenant/tenant-{number % 7}/role/pipeline",
        idempotency_key=f"key-{number}",
        request_sha256=number.to_bytes(32, "big"),
        listing=Listing(title=f"Cup number {number}"),
        response=CheckResponse(check_id=check_id, verdict=Verdict.VERDICT_REVIEW),
        observations=None,
        trace_id="",
    )


def looked_at(check: NewDecision) -> EventRecord:
    """Somebody looked at the check's image."""
    view = EventView(item="canonical-0", unblurred=True)
    return EventRecord(
        check_id=check.check_id, tenant=check.tenant, actor=check.caller, kind="viewed", view=view
    )


def files_of(log: Path) -> list[Path]:
    """The published files that hold something."""
    return sorted(path for path in log.rglob("*") if path.is_file() and path.stat().st_size)


def flip(log: Path, rng: random.Random) -> str:
    """One bit of one file turns."""
    path = rng.choice(files_of(log))
    data = bytearray(path.read_bytes())
    place, bit = rng.randrange(len(data)), rng.randrange(8)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"{path.relative_to(log)}: bit {bit} of byte {place}"


def drop(log: Path, rng: random.Random) -> str:
    """One file goes."""
    path = rng.choice(files_of(log))
    path.unlink()
    return f"{path.relative_to(log)}: gone"


def truncate(log: Path, rng: random.Random) -> str:
    """One file ends early."""
    path = rng.choice(files_of(log))
    left = rng.randrange(path.stat().st_size)
    path.write_bytes(path.read_bytes()[:left])
    return f"{path.relative_to(log)}: {left} bytes left"


def reorder(log: Path, rng: random.Random) -> str:
    """Two halves of one file change places."""
    path = rng.choice(files_of(log))
    data = path.read_bytes()
    middle = rng.randrange(1, len(data))
    path.write_bytes(data[middle:] + data[:middle])
    return f"{path.relative_to(log)}: from byte {middle} on put first"


def fork(log: Path, rng: random.Random) -> str:
    """One entry's bytes are replaced by another's of the same length, everywhere in a bundle of entries."""
    path = rng.choice([path for path in files_of(log) if "entries" in path.parts])
    data = bytearray(path.read_bytes())
    start = rng.randrange(len(data) // 2)
    length = min(64, len(data) - start)
    data[start : start + length] = bytes(reversed(data[start : start + length]))
    path.write_bytes(data)
    return f"{path.relative_to(log)}: {length} bytes from {start} on turned around"


# Each changes a copy of the log, and says what it did.
ATTACKS: tuple[Callable[[Path, random.Random], str], ...] = (flip, drop, truncate, reorder, fork)


def caught(log: Path, vkey: Path) -> bool:
    """Whether the verifier says that the log was tampered with."""
    return (
        CliRunner().invoke(app, ["verify", str(log), "--vkey", str(vkey), "--wait", "0", "--json"]).exit_code
        == 1
    )


def same(first: Path, second: Path) -> bool:
    """Whether an attack happened to change nothing."""
    return {path.relative_to(first): path.read_bytes() for path in files_of(first)} == {
        path.relative_to(second): path.read_bytes() for path in files_of(second)
    }


def run(seconds: float) -> Outcome:
    """Verify many records, then attack copies of a small log until the count, or the time, is used up.

    `build/tampering.jsonl` lists every change that was tried, and whether it was caught.
    """
    until = time.monotonic() + seconds
    records, took = verify_many(RECORDS if seconds >= FULL_SECONDS else FEW_RECORDS)
    tried = found = 0
    LISTED.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, LISTED.open("w", encoding="utf-8") as listed:
        folder = Path(name)
        asyncio.run(write_log(folder))
        vkey = folder / "log.vkey"
        if caught(folder / "log", vkey):
            return Outcome(0, FULL_CASES, 0.0, 100.0, "% caught; the untouched log was refused", met=False)
        for change, hit in attacked(folder, vkey, until):
            tried += 1
            found += hit
            listed.write(json.dumps({"change": change, "caught": hit}) + "\n")
    figure = round(100 * found / tried, 3) if tried else 0.0
    unit = f"% of changes to a published log caught offline; {records:,} records verified in {took:.1f} s"
    # Fewer are verified to see that they are, not how fast.
    quick_enough = took <= MOST_SECONDS or records < RECORDS
    return Outcome(tried, FULL_CASES, figure, 100.0, unit, figure == 100.0 and quick_enough)


def verify_many(count: int) -> tuple[int, float]:
    """Records, and the seconds that verifying them against their store and log took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, count)
        target = Target(folder / "log", load_verifier_key(folder / "log.vkey"), folder / "ostiary.db")
        began = time.perf_counter()
        verified = Audit(target, [], patience=0, progress=lambda done, total: None).run()
        return verified.decisions, time.perf_counter() - began


def attacked(folder: Path, vkey: Path, until: float) -> Iterator[tuple[str, bool]]:
    """Each change that really changed something, in words, and whether it was caught."""
    rng = random.Random(12)
    tried = 0
    while tried < CASES and time.monotonic() < until:
        attack = ATTACKS[tried % len(ATTACKS)]
        copy = folder / "copy"
        shutil.copytree(folder / "log", copy)
        what = attack(copy, rng)
        if not same(folder / "log", copy):
            tried += 1
            yield f"{attack.__name__} {what}", caught(copy, vkey)
        shutil.rmtree(copy)


PROMISE = Promise(12, "Tampering shows", run)
