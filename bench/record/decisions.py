"""Decisions like a gateway's, as many as asked for and the same ones each time; and stores of them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from ostiary.tlog.keys import create_log_key, load_log_key
from ostiary.v1.decision_pb2 import (
    ACTION_BLOCK,
    ACTION_REVIEW,
    VERDICT_ALLOW,
    VERDICT_BLOCK,
    VERDICT_HOLD,
    VERDICT_REVIEW,
    Evidence,
    Finding,
    Receipt,
    Verdict,
)
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import BrandCandidate, BundleInfo, Observations, OcrSpan, PolicyScore
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.database import open_engine, prepare_file
from ostiary_gateway.store.folder import LogFolder
from ostiary_gateway.store.opening import prepare_store
from ostiary_gateway.store.publisher import Publisher
from ostiary_gateway.store.rows import prepare
from ostiary_gateway.store.writer import Writer

ORIGIN = "bench.ostiary.local/log"
TENANT = "demo"
START = datetime(2026, 1, 1, tzinfo=UTC)
SELLERS, WORDS, BRANDS = 5000, 3000, 300
LABELS = (
    ("prohibited_ads", "contact_details"),
    ("prohibited_ads", "off_platform"),
    ("prohibited_ads", "qr_code"),
    ("prohibited_ads", "absolute_claim"),
    ("prohibited_ads", "medical_claim"),
    ("nudity", "partial"),
    ("logo_infringement", "unauthorised_brand"),
)
_BATCH = 4096
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwz", "aeiou"
_SIGNS = [chr(number) for number in range(0x4E00, 0x4E00 + 600)]


@lru_cache(1)
def words() -> list[str]:
    """The words that listings are made of; every tenth is Chinese. Some are common, most are rare."""
    rng = random.Random(5)
    made: dict[str, None] = {}
    while len(made) < WORDS:
        syllables = rng.randint(2, 4)
        latin = "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(syllables))
        made["".join(rng.choices(_SIGNS, k=rng.randint(2, 3))) if len(made) % 10 == 0 else latin] = None
    return list(made)


@lru_cache(1)
def _weights() -> list[float]:
    return list(itertools.accumulate(1 / (rank + 1) for rank in range(WORDS)))


def check_id(number: int) -> str:
    """The same for the same number."""
    return f"0194{number:08x}-0000-7000-8000-{number:012d}"[-36:]


def decision(number: int) -> NewDecision:
    """The decision of a number: nine in ten allow, the rest have a finding or two."""
    rng = random.Random(number)
    said = rng.choices(words(), cum_weights=_weights(), k=24)
    found = _findings(rng) if rng.random() < 0.1 else []
    verdict = _verdict(found, rng)
    age = number // 250_000
    receipt = Receipt(
        policy=f"default@{age + 1}",
        policy_sha256=bytes([age]) * 32,
        bundle=BundleInfo(name="mini", version=str(age), digest=bundle(age)),
        route_version="local",
    )
    receipt.decided_at.FromDatetime(START + timedelta(seconds=number))
    return NewDecision(
        check_id=check_id(number),
        tenant=TENANT,
        caller="spiffe://bench.ostiary.local/tenant/demo/role/pipeline",
        idempotency_key="",
        request_sha256=number.to_bytes(32, "big"),
        listing=Listing(
            listing_id=f"listing-{number}",
            title=" ".join(said[:6]),
            description=" ".join(said[6:20]),
            seller=f"seller-{int(rng.paretovariate(1.2)) % SELLERS}",
            category=rng.choice(("home", "apparel", "shoes", "digital", "beauty")),
        ),
        response=CheckResponse(check_id=check_id(number), verdict=verdict, findings=found, receipt=receipt),
        observations=Observations(
            ocr=[OcrSpan(text=" ".join(said[20:]), confidence=0.9)],
            scores=[
                PolicyScore(policy=policy, label=label, question=label, probability=rng.random() / 4)
                for policy, label in LABELS[:3]
            ],
        ),
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    )


def bundle(age: int) -> bytes:
    """The digest of the bundle that looked at the decisions of an age."""
    return bytes([100 + age]) * 32


def _findings(rng: random.Random) -> list[Finding]:
    drawn = {min(int(rng.paretovariate(1.0)) - 1, len(LABELS) - 1) for _ in range(rng.randint(1, 2))}
    return [
        Finding(
            policy=LABELS[index][0],
            label=LABELS[index][1],
            score=round(rng.uniform(0.5, 1), 3),
            action=ACTION_BLOCK if rng.random() < 0.3 else ACTION_REVIEW,
            source="ocr",
            evidence=Evidence(brand=BrandCandidate(brand=f"brand-{rng.randrange(BRANDS)}", score=0.9))
            if LABELS[index][0] == "logo_infringement"
            else None,
            internal_reason="what was seen, in words for compliance teams",
            seller_reason="Change the images so that they meet the rules.",
        )
        for index in sorted(drawn)
    ]


def _verdict(found: list[Finding], rng: random.Random) -> Verdict.ValueType:
    if any(each.action == ACTION_BLOCK for each in found):
        return VERDICT_BLOCK
    if found:
        return VERDICT_REVIEW
    return VERDICT_HOLD if rng.random() < 0.01 else VERDICT_ALLOW


def fill(folder: Path, count: int, told: Callable[[int], None] = lambda done: None) -> None:
    """Make a store of so many decisions with its published log: `ostiary.db`, `log`, `log.key`, `log.vkey`.

    By the gateway's own writer, without an event loop around it.
    """
    create_log_key(folder / "log.key", ORIGIN)
    key, store = load_log_key(folder / "log.key"), folder / "ostiary.db"
    prepare_file(store)
    engine = open_engine(store, begin="BEGIN IMMEDIATE")
    log = LogFolder(folder / "log", folder / "ostiary.db.publishing")
    prepare_store(engine, key.verifier, log, store)
    writer = Writer(engine, key, committed=lambda: None)
    for start in range(0, count, _BATCH):
        now = START + timedelta(seconds=start)
        numbers = range(start, min(start + _BATCH, count))
        writer.write([prepare(decision(number), now) for number in numbers])
        told(numbers.stop)
    Publisher(engine, log, key.verifier, 0.0).publish()
    engine.dispose()


def batches(first: int, count: int, size: int) -> Iterator[list[NewDecision]]:
    """So many decisions from a number on, in lists of at most so many."""
    for start in range(first, first + count, size):
        yield [decision(number) for number in range(start, min(start + size, first + count))]
