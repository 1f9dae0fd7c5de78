"""A gateway's folder as `ostiary up` lays it out, decisions to record, and audits of it."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from ostiary.cli.audit import app
from ostiary.cli.audit.locate import locate
from ostiary.cli.audit.verify import Audit, Verified
from ostiary.tlog.checkpoint import Checkpoint
from ostiary.tlog.keys import create_log_key
from ostiary.v1.decision_pb2 import VERDICT_REVIEW, Finding, Receipt
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import Observations, OcrSpan
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.database_recorder import DatabaseRecorder
from ostiary_gateway.store.opening import open_recorder

ORIGIN = "ostiary.local/log"


def new_decision(number: int, *, key: str = "", tenant: str = "demo", request: bytes = b"") -> NewDecision:
    """A decision with something in every field; the same arguments give the same decision."""
    check_id = f"0193568a-0000-7000-8000-{number:012d}"
    return NewDecision(
        check_id=check_id,
        tenant=tenant,
        caller=f"spiffe://ostiary.local/tenant/{tenant}/role/pipeline",
        idempotency_key=key,
        request_sha256=hashlib.sha256(request).digest(),
        listing=Listing(listing_id=f"listing-{number}", title="Cotton T-shirt", description="加微信 abc123"),
        response=CheckResponse(
            check_id=check_id,
            verdict=VERDICT_REVIEW,
            findings=[Finding(policy="prohibited_ads", label="contact_details", score=1.0)],
            receipt=Receipt(policy="default@1", policy_sha256=b"p" * 32),
        ),
        observations=Observations(ocr=[OcrSpan(text="微信 abc123", confidence=0.9)]),
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    )


@dataclass(frozen=True)
class Home:
    """A directory as `ostiary up` makes it, without the processes."""

    root: Path
    url: str = ""
    """Of a PostgreSQL database; empty: the record is in an SQLite file."""

    @property
    def gateway(self) -> Path:
        """The gateway's own folder."""
        return self.root / "gateway"

    @property
    def log(self) -> Path:
        """The published log."""
        return self.gateway / "log"

    @property
    def store(self) -> Any:
        """The database."""
        return self.url or self.gateway / "data" / "ostiary.db"

    def open(self, **changes: Any) -> AbstractAsyncContextManager[DatabaseRecorder]:
        """The recorder, published at once."""
        arguments = {
            "store": self.store,
            "log_dir": self.log,
            "log_key": self.gateway / "log.key",
            "origin": ORIGIN,
            "publish_interval": 0.01,
            **changes,
        }
        return open_recorder(**arguments)

    async def fill(self, count: int) -> None:
        """Record so many decisions, two of them with a key; the first three in commits of their own."""
        async with self.open() as recorder:
            for i in range(min(3, count)):
                await recorder.record(new_decision(i, key=f"key-{i}" if i else ""))
            await asyncio.gather(*(recorder.record(new_decision(i)) for i in range(3, count)))

    def audit(self, trusted: Sequence[Checkpoint] = (), *, with_store: bool = True) -> Verified:
        """Audit in this process, without patience. Raises Tampered."""
        target = locate(self.root, None, self.url or None)
        if not with_store:
            target = type(target)(target.log, target.key, None)
        return Audit(target, trusted, patience=0, progress=lambda done, total: None).run()

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """Run a statement on the database, as an intruder would."""
        if self.url:
            with psycopg.connect(self.url, autocommit=True) as connection:
                cursor = connection.execute(statement.replace("?", "%s"), parameters)  # type: ignore[arg-type]
                return cursor.fetchall() if cursor.description else []
        with closing(sqlite3.connect(self.store, isolation_level=None)) as connection:
            return connection.execute(statement, parameters).fetchall()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A gateway's folder with a log key, and nothing recorded yet."""
    return make_home(tmp_path / "stack")


def make_home(root: Path, url: str = "") -> Home:
    """A folder with a log key; `url` of the database, where it is none of its own."""
    home = Home(root, url)
    home.gateway.mkdir(parents=True)
    create_log_key(home.gateway / "log.key", ORIGIN)
    return home


@pytest.fixture
def decision() -> Callable[..., NewDecision]:
    """Makes decisions."""
    return new_decision


@dataclass(frozen=True)
class Told:
    """How `ostiary audit` ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """What `--json` printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture
def audit_command() -> Callable[..., Told]:
    """Runs `ostiary audit verify`, without patience."""

    def run(*arguments: object) -> Told:
        result = CliRunner().invoke(app, ["verify", "--wait", "0", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Told(result.exit_code, result.stdout, result.stderr)

    return run
