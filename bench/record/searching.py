"""How long searches over many cases take, of every kind and of the rarest values too."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from sqlalchemy import create_engine, select

from bench.record.decisions import BRANDS, LABELS, ORIGIN, SELLERS, START, TENANT, bundle, words
from ostiary.v1.audit_pb2 import CASE_STATE_OPEN
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_HOLD, VERDICT_REVIEW
from ostiary_gateway.review.cases import Search
from ostiary_gateway.store.database import Store, migrate, open_engine
from ostiary_gateway.store.database_cases import open_cases
from ostiary_gateway.store.postings import BLOCK
from ostiary_gateway.store.schema import case_terms, cases, decisions, entries
from ostiary_gateway.store.sqlite_indexer import open_indexer
from ostiary_gateway.times import microseconds

_TABLES = (entries, decisions, cases, case_terms)
_ROWS = 5000


def searches(count: int, total: int) -> Iterator[tuple[str, Search]]:
    """So many searches of each kind, over `total` cases: what compliance teams ask for, common and rare."""
    rng = random.Random(9)
    ages = max(1, (total - 1) // 250_000 + 1)

    def moment() -> int:
        return microseconds(START + timedelta(seconds=rng.randrange(total)))

    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "the newest": dict,
        "a verdict": lambda: {"verdicts": [rng.choice((VERDICT_ALLOW, VERDICT_REVIEW, VERDICT_BLOCK))]},
        "on hold, open": lambda: {"verdicts": [VERDICT_HOLD], "states": [CASE_STATE_OPEN]},
        "a seller": lambda: {"sellers": [f"seller-{rng.randrange(SELLERS)}"]},
        "a label": lambda: {"labels": ["/".join(rng.choice(LABELS))]},
        "a brand": lambda: {"brands": [f"brand-{rng.randrange(BRANDS)}"]},
        "a policy": lambda: {"policies": [f"default@{rng.randint(1, ages)}"]},
        "a bundle": lambda: {"bundle_digests": [bundle(rng.randrange(ages))]},
        "a day": lambda: {"since_us": (since := moment()), "until_us": since + 86_400_000_000},
        "a high score": lambda: {"min_score": rng.choice((0.5, 0.9, 0.99))},
        "a word": lambda: {"words": [rng.choice(words())]},
        "two words": lambda: {"words": rng.sample(words(), 2)},
        "a word and a verdict": lambda: {"words": [rng.choice(words())], "verdicts": [VERDICT_BLOCK]},
        "a word that is nowhere": lambda: {"words": [f"{rng.choice(words())}qx"]},
        "a seller's label": lambda: {
            "sellers": [f"seller-{rng.randrange(1, 50)}"],
            "labels": ["/".join(rng.choice(LABELS))],
        },
    }
    for kind, made in kinds.items():
        for _ in range(count):
            yield kind, Search(TENANT, **made())


async def _timed(store: Store, total: int, count: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {}
    async with open_cases(store, ORIGIN) as asked:
        for kind, search in searches(count, total):
            began = time.perf_counter()
            await asked.search(search)
            taken.setdefault(kind, []).append((time.perf_counter() - began) * 1e3)
    return taken


def measure(name: str, store: Store, total: int, count: int) -> list[dict[str, Any]]:
    """A row for each kind of search, and one for all of them together."""
    taken = asyncio.run(_timed(store, total, count))
    everything = [each for times in taken.values() for each in times]
    return [
        {
            "database": name,
            "search": kind,
            "p50_ms": median(times),
            "p99_ms": sorted(times)[(len(times) * 99 - 1) // 100],
            "most_ms": max(times),
        }
        for kind, times in [*taken.items(), ("all", everything)]
    ]


def index(store: Path) -> dict[str, Any]:
    """A row: what it takes to index all of an SQLite store's cases that can be, and how large that is."""
    size = store.stat().st_size

    async def indexed() -> int:
        count = 0
        async with open_indexer(store) as indexer:
            while indexer.index_next() is not None:
                count += 1
        return count

    began, used = time.perf_counter(), time.process_time()
    blocks = asyncio.run(indexed())
    took, processor = time.perf_counter() - began, time.process_time() - used
    cases = max(1, blocks * BLOCK)
    return {
        "indexed": blocks * BLOCK,
        "seconds": took,
        "cpu_us": processor / cases * 1e6,
        "bytes": (store.stat().st_size - size) / cases,
    }


def copy(source: Path, url: str) -> None:
    """Fill a PostgreSQL database with the decisions of an SQLite store, and with what they are found by."""
    owner = open_engine(url, begin="BEGIN IMMEDIATE")
    migrate(owner, url)
    owner.dispose()
    engine = create_engine(f"sqlite:///{source}")
    with engine.connect() as held, psycopg.connect(url) as connection:
        connection.execute("DROP INDEX cases_by_grams")
        for table in _TABLES:
            names = ", ".join(column.name for column in table.columns)
            rows = held.execution_options(yield_per=_ROWS).execute(select(table))
            with connection.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN") as into:
                for row in rows:
                    into.write_row(tuple(row))
        connection.execute("CREATE INDEX cases_by_grams ON cases USING gin (ostiary_grams(text))")
    engine.dispose()
    with psycopg.connect(url, autocommit=True) as connection:
        # As a server does by itself in a while.
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
