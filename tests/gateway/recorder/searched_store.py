"""A large store, its decisions, and what a search should find among them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from gateway.recorder.conftest import Home
from ostiary.tlog.keys import load_log_key
from ostiary.v1.audit_pb2 import CASE_STATE_DECIDED, CASE_STATE_OPEN
from ostiary.v1.decision_pb2 import (
    VERDICT_ALLOW,
    VERDICT_BLOCK,
    VERDICT_HOLD,
    VERDICT_REVIEW,
    Evidence,
    Finding,
    Receipt,
)
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import BrandCandidate, BundleInfo
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.review.cases import Search
from ostiary_gateway.store.database import migrate, open_engine, prepare_file
from ostiary_gateway.store.postings import BLOCK
from ostiary_gateway.store.rows import prepare
from ostiary_gateway.store.sqlite_indexer import CaseIndexer
from ostiary_gateway.store.writer import Writer

START = datetime(2026, 3, 1, tzinfo=UTC)
COUNT = 2 * BLOCK + 700
COMMON = ["cotton", "shirt", "hose", "微信", "手机壳", "t-shirt", "schuh"]
RARE = [f"word{number}x" for number in range(40)] + ["罕见", "一二三四"]


def made(number: int) -> NewDecision:
    """One of many decisions, not in the order of their times; the same for the same number."""
    rng = random.Random(number)
    said = rng.sample(COMMON, 3) + ([rng.choice(RARE)] if rng.random() < 0.02 else [])
    score = round(rng.random(), 2) if rng.random() < 0.2 else 0.0
    brand = Evidence(brand=BrandCandidate(brand=f"brand-{rng.randrange(30)}"))
    finding = Finding(policy="nudity", label=rng.choice(["explicit", "partial"]), score=score, evidence=brand)
    receipt = Receipt(
        policy=f"default@{1 + number // 4000}", bundle=BundleInfo(digest=bytes([number // 3000]))
    )
    receipt.decided_at.FromDatetime(START + timedelta(seconds=number + rng.randrange(600)))
    tenant = "demo" if number % 11 else "other"
    return NewDecision(
        check_id=f"{number:036d}",
        tenant=tenant,
        caller="spiffe://x/y",
        idempotency_key="",
        request_sha256=b"",
        listing=Listing(title=" ".join(said), seller=f"s-{int(rng.paretovariate(1))}"),
        response=CheckResponse(
            check_id=f"{number:036d}",
            verdict=rng.choices([VERDICT_ALLOW, VERDICT_REVIEW, VERDICT_BLOCK, VERDICT_HOLD], [80, 14, 5, 1])[
                0
            ],
            findings=[finding] if score else [],
            receipt=receipt,
        ),
        observations=None,
        trace_id="",
    )


@dataclass(frozen=True)
class Expected:
    """A decision as a search sees it, without any database."""

    new: NewDecision

    @property
    def order(self) -> tuple[int, int]:
        return self.new.response.receipt.decided_at.ToMicroseconds(), int(self.new.check_id)

    def fits(self, search: Search) -> bool:
        new = self.new
        found = new.response.findings
        receipt = new.response.receipt
        waits = new.response.verdict in (VERDICT_REVIEW, VERDICT_HOLD)
        return (
            new.tenant == search.tenant
            and _one(search.verdicts, [new.response.verdict])
            and _one(search.sellers, [new.listing.seller])
            and _one(search.policies, [receipt.policy])
            and _one(search.bundle_digests, [receipt.bundle.digest])
            and _one(search.labels, [f"{each.policy}/{each.label}" for each in found])
            and _one(search.brands, [each.evidence.brand.brand for each in found])
            and _one(search.states, [CASE_STATE_OPEN if waits else CASE_STATE_DECIDED])
            and all(word in new.listing.title for word in search.words)
            and (search.since_us is None or self.order[0] >= search.since_us)
            and (search.until_us is None or self.order[0] < search.until_us)
            and max((each.score for each in found), default=0.0) >= search.min_score
            and (search.behind is None or self.order < (search.behind.decided_us, search.behind.log_index))
        )


def _one(asked: Any, has: list[Any]) -> bool:
    return not asked or bool(set(asked) & set(has))


DECISIONS = [Expected(made(number)) for number in range(COUNT)]


def fill(home: Home, count: int) -> None:
    """Make a store of so many decisions, written as a gateway's writer does."""
    if isinstance(home.store, Path):
        prepare_file(home.store)
    engine = open_engine(home.store, begin="BEGIN IMMEDIATE")
    migrate(engine, home.store)
    key = load_log_key(home.gateway / "log.key")
    for start in range(0, count, 2000):
        batch = [prepare(each.new, START) for each in DECISIONS[start : min(start + 2000, count)]]
        Writer(engine, key, committed=lambda: None).write(batch)
    engine.dispose()


@contextmanager
def indexer(home: Home) -> Iterator[CaseIndexer]:
    """One that is called, and has no thread."""
    readers = open_engine(home.store, begin="BEGIN")
    writers = open_engine(home.store, begin="BEGIN IMMEDIATE")
    yield CaseIndexer(readers, writers, None)  # type: ignore[arg-type]
    readers.dispose()
    writers.dispose()


def index_all(home: Home) -> int:
    """Index what is full; how many blocks that were."""
    count = 0
    with indexer(home) as each:
        while each.index_next() is not None:
            count += 1
    return count


@contextmanager
def asking(home: Home, begin: str = "BEGIN") -> Iterator[Connection]:
    """A transaction, committed at the end."""
    engine = open_engine(home.store, begin=begin)
    with engine.begin() as connection:
        yield connection
    engine.dispose()
