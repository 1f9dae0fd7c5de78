"""Promise 13: erasure is real, also where whoever erases is killed in the middle of it."""

import asyncio
import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.promises.contract import Outcome, Promise
from bench.promises.estate import REPOSITORY
from bench.promises.kept import (
    ACTOR,
    KEY,
    ORIGIN,
    TENANT,
    TODO,
    Record,
    erase_all,
    opened,
)
from ostiary.cli.audit.locate import locate
from ostiary.cli.audit.verify import Audit
from ostiary.tlog.checkpoint import open_checkpoint
from ostiary.tlog.keys import create_log_key, load_log_key
from ostiary.tlog.merkle import verify_inclusion
from ostiary.v1.decision_pb2 import Finding, Receipt, Verdict
from ostiary.v1.image_pb2 import CanonicalImage
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import Observations, OcrSpan
from ostiary.v1.record_pb2 import EventComment, EventHold, EventRecord
from ostiary_gateway.bulk.queue import Submission
from ostiary_gateway.evidence import EvidenceError, blurred_name, canonical_name
from ostiary_gateway.ids import new_check_id
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.postings import BLOCK, decode
from ostiary_gateway.store.sealing import ItemName
from ostiary_gateway.store.sqlite_indexer import open_indexer

FULL_COUNT = 1_000
_HELD_EVERY = 10
_KEPT_EVERY = 3
_LONGEST_BEFORE_KILL = 0.6
_NEEDLE_BYTES = 12
_AT_ONCE = 512


@dataclass(frozen=True)
class Subject:
    """One check about somebody, and everything by which they could be found again.

    Attributes:
        check_id: its id.
        needles: bytes that no file may hold once it is erased, by what they are.
        place: index of its entry in the log.
        leaf: hash of that entry, as its caller was told.
        held: whether a legal hold stands.
    """

    check_id: str
    needles: dict[str, bytes]
    place: int
    leaf: bytes
    held: bool


def _word() -> str:
    return os.urandom(_NEEDLE_BYTES).hex()


async def add(record: Record, number: int, *, held: bool) -> Subject:
    """Record a check with listing, image, text read, comment, cache entry and bulk request about somebody."""
    check_id, image = new_check_id(), os.urandom(2_000)
    words = {name: _word() for name in ("title", "description", "seller", "key", "read", "comment")}
    canonical = CanonicalImage(
        raw_sha256=hashlib.sha256(image).digest(), sha256=hashlib.sha256(image[1:]).digest()
    )
    seen = Observations(images=[canonical], ocr=[OcrSpan(text=words["read"] * (1 + number % 40))])
    digest = os.urandom(32)
    await record.evidence.put(TENANT, check_id, canonical_name(0), image[1:])
    await record.evidence.put(TENANT, check_id, blurred_name(0), image[:100])
    # As a process leaves it that recorded the check, and died before it could say so in the queue.
    await record.evidence.put(TENANT, check_id, "request", image)
    submission = Submission(check_id, TENANT, words["key"], digest, ACTOR, "pipeline")
    await record.queue.add(submission)
    findings = [
        Finding(policy="prohibited_ads", label="contact_details", score=1.0, internal_reason=words["read"])
    ]
    answer = await record.recorder.record(
        NewDecision(
            check_id=check_id,
            tenant=TENANT,
            caller=ACTOR,
            idempotency_key=words["key"],
            request_sha256=digest,
            listing=Listing(
                title=words["title"], description=words["description"] * 20, seller=words["seller"]
            ),
            response=CheckResponse(
                check_id=check_id,
                verdict=Verdict.VERDICT_REVIEW,
                findings=findings,
                images=[canonical],
                receipt=Receipt(policy="default@1"),
            ),
            observations=seen,
            trace_id="",
        )
    )
    comment = EventComment(text=words["comment"])
    event = EventRecord(check_id=check_id, tenant=TENANT, actor=ACTOR, kind="commented", comment=comment)
    await record.recorder.append(event)
    if held:
        hold = EventRecord(
            check_id=check_id, tenant=TENANT, actor=ACTOR, kind="held", hold=EventHold(hold=True)
        )
        await record.recorder.append(hold)
    needles = {name: word.encode() for name, word in words.items()}
    needles |= {
        "request's hash": digest,
        "image's hash": canonical.raw_sha256,
        "canonical's hash": canonical.sha256,
    }
    return Subject(check_id, needles, answer.receipt.log_index, answer.receipt.leaf_hash, held)


def with_salts(folder: Path, subjects: Iterable[Subject]) -> list[Subject]:
    """The same, with the salts that a guess at the entry would need."""
    with closing(sqlite3.connect(folder / "ostiary.db")) as store:
        salts = dict(store.execute("SELECT check_id, salt FROM decisions"))
    return [
        Subject(**{**vars(each), "needles": {**each.needles, "salt": salts[each.check_id]}})
        for each in subjects
    ]


def found(folder: Path, subjects: Iterable[Subject]) -> set[tuple[str, str]]:
    """Check and kind of each needle that a file below the folder holds."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != TODO]
    everything = b"\0".join(files)
    return {
        (subject.check_id, name)
        for subject in subjects
        for name, needle in subject.needles.items()
        if needle in everything
    }


async def index(folder: Path, record: Record) -> None:
    """Record decisions about nobody until a block of the log is full, and have it indexed for searches."""
    for _ in range(0, BLOCK, _AT_ONCE):
        await asyncio.gather(*(record.recorder.record(_about_nobody()) for _ in range(_AT_ONCE)))
    async with open_indexer(folder / "ostiary.db") as indexer:
        if await asyncio.to_thread(indexer.index_next) is None:
            raise RuntimeError("no block was indexed: finding nothing in the index would show nothing")


def _about_nobody() -> NewDecision:
    check_id = new_check_id()
    return NewDecision(
        check_id=check_id,
        tenant=TENANT,
        caller=ACTOR,
        idempotency_key="",
        request_sha256=b"",
        listing=Listing(title="cup"),
        response=CheckResponse(check_id=check_id, verdict=Verdict.VERDICT_ALLOW, receipt=Receipt()),
        observations=None,
        trace_id="",
    )


def searchable(folder: Path, subjects: Iterable[Subject]) -> int:
    """How many checks a term of the search index still leads to."""
    with closing(sqlite3.connect(folder / "ostiary.db")) as store:
        blocks = dict[int, int]()
        for block, positions in store.execute("SELECT block, positions FROM case_index"):
            blocks[block] = blocks.get(block, 0) | decode(positions)
    places = (divmod(subject.place, BLOCK) for subject in subjects)
    return sum(blocks.get(block, 0) >> position & 1 for block, position in places)


def opens(folder: Path, subject: Subject) -> bool:
    """Whether a file that somebody held on to, by a link, opens under the right key."""
    for name in (canonical_name(0), blurred_name(0), "request"):
        with suppress(EvidenceError):
            KEY.open(
                ItemName(TENANT, subject.check_id, name), (folder / f"{subject.check_id}-{name}").read_bytes()
            )
            return True
    return False


def link_all(folder: Path, subjects: Sequence[Subject], where: Path) -> None:
    """Hold on to the evidence of checks, as an open file or an undelete would."""
    where.mkdir()
    for subject in subjects:
        for path in (folder / "evidence" / TENANT / subject.check_id).iterdir():
            os.link(path, where / f"{subject.check_id}-{path.name}")


def kill_while_erasing(folder: Path, rng: random.Random) -> None:
    """Let a process erase for a moment, and kill it; blocks."""
    command = [sys.executable, "-m", "bench.promises.erasing_process", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)
    try:
        ready = process.stdout.readline() if process.stdout else b""
        time.sleep(rng.uniform(0, _LONGEST_BEFORE_KILL))
    finally:
        process.kill()
        process.communicate()
    if not ready:
        raise RuntimeError("what was to erase ended before it began")


async def proofs_fail(folder: Path, record: Record, subjects: Sequence[Subject]) -> int:
    """How many erased decisions can no longer be proved to be in the log."""
    key, failed = load_log_key(folder / "log.key").verifier, 0
    for subject in subjects:
        proof = await record.cases.prove_inclusion(subject.place, 0)
        head = open_checkpoint(proof.checkpoint, key)
        try:
            verify_inclusion(subject.leaf, subject.place, head.size, list(proof.path), head.root)
        except ValueError:
            failed += 1
    return failed


@dataclass
class Trial:
    """What a round came to."""

    erased: int = 0
    kills: int = 0
    held: int = 0
    wrong: int = 0


async def erase_round(folder: Path, count: int, kills: int, rng: random.Random) -> Trial:
    """Record so many checks, erase most of them under kills, and look for what should be gone."""
    create_log_key(folder / "log.key", ORIGIN)
    async with opened(folder) as record:
        subjects = [await add(record, number, held=number % _HELD_EVERY == 0) for number in range(count)]
        await index(folder, record)
    subjects = with_salts(folder, subjects)
    asked = [each for number, each in enumerate(subjects) if number % _KEPT_EVERY]
    gone, held = [each for each in asked if not each.held], [each for each in asked if each.held]
    trial = Trial(len(gone), kills, len(held))
    if searchable(folder, subjects) != len(subjects):
        raise RuntimeError("the search index lacks what is to be erased: finding nothing shows nothing")
    if len(found(folder, subjects)) != sum(len(each.needles) for each in subjects):
        raise RuntimeError("what is to be erased is not all there: finding nothing later would show nothing")
    links = folder.with_name(f"{folder.name}-links")
    await asyncio.to_thread(link_all, folder, asked, links)
    (folder / TODO).write_text("\n".join(each.check_id for each in asked), encoding="utf-8")
    for _ in range(kills):
        await asyncio.to_thread(kill_while_erasing, folder, rng)
    async with opened(folder) as record:
        for each in asked:
            record.cache.put(os.urandom(8), TENANT, each.check_id, b"seen", datetime.now(UTC))
        kept = await erase_all(record, [each.check_id for each in asked])
        trial.wrong += abs(kept - len(held)) + abs(len(record.cache) - len(held))
        # Looked for while the record is open, with its write-ahead log.
        trial.wrong += len({check_id for check_id, _ in found(folder, gone)})
        trial.wrong += searchable(folder, gone)
        trial.wrong += await proofs_fail(folder, record, gone)
    others = [each for each in subjects if each not in gone]
    whole = sum(len(each.needles) for each in others)
    trial.wrong += whole - len(found(folder, others))
    trial.wrong += sum(opens(links, each) for each in gone) + sum(not opens(links, each) for each in held)
    target = locate(folder / "log", str(folder / "log.vkey"), folder / "ostiary.db")
    Audit(target, (), patience=0, progress=lambda done, total: None).run()
    return trial


def run(seconds: float) -> Outcome:
    """Erase rounds of checks until the count, or the time, is used up."""
    rng, until = random.Random(13), time.monotonic() + seconds
    total, number = Trial(), 0
    count, kills = (300, 6) if seconds > 60 else (30, 1)
    with tempfile.TemporaryDirectory() as name:
        while total.erased < FULL_COUNT and (number == 0 or time.monotonic() < until):
            folder = Path(name) / str(number)
            folder.mkdir()
            trial = asyncio.run(erase_round(folder, count, kills, rng))
            number += 1
            for field, value in vars(trial).items():
                setattr(total, field, getattr(total, field) + value)
    what = (
        f"traces and broken proofs after erasing; {total.kills} kills, {total.held} on legal hold untouched"
    )
    return Outcome(total.erased, FULL_COUNT, total.wrong, 0, what, total.wrong == 0)


PROMISE = Promise(13, "Erasure is real", run)
