"""What does not fit together is refused at the start, in words that say what to do."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from ostiary.tlog.keys import create_log_key
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.database import StoreError
from ostiary_gateway.store.schema import metadata, sqlite_metadata

Decision = Callable[..., NewDecision]


def lose_database(home: Any) -> None:
    home.store.unlink()


def lose_rows(home: Any) -> None:
    home.store.unlink()
    home.store.touch()


def restore_old_database(home: Any) -> None:
    for table in ("decisions", "entries", "checkpoints"):
        home.sql(f"DELETE FROM {table}")  # noqa: S608 # the three names above


def replace_key(home: Any) -> None:
    for name in ("log.key", "log.vkey"):
        (home.gateway / name).unlink()
    create_log_key(home.gateway / "log.key", "ostiary.local/log")


def rename_log(home: Any) -> None:
    for name in ("log.key", "log.vkey"):
        (home.gateway / name).unlink()
    create_log_key(home.gateway / "log.key", "ostiary.local/other")


def lose_key(home: Any) -> None:
    (home.gateway / "log.key").unlink()


def damage_key(home: Any) -> None:
    (home.gateway / "log.key").write_text("PRIVATE+KEY+nonsense\n")


def damage_database(home: Any) -> None:
    home.store.write_bytes(b"not a database" * 1000)


def alter_checkpoint(home: Any) -> None:
    path = home.log / "checkpoint"
    path.write_bytes(path.read_bytes().replace(b"\n3\n", b"\n2\n"))


def come_from_the_future(home: Any) -> None:
    home.sql("UPDATE alembic_version SET version_num = '9999'")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lose_database, "is missing, but its log is published"),
        (lose_rows, "this database never signed"),
        (restore_old_database, "this database never signed"),
        (replace_key, "belongs to the log"),
        (rename_log, "the settings name the log ostiary.local/log"),
        (lose_key, "make the log's key with `ostiary gateway init`"),
        (damage_key, r"log\.key: a signing key is"),
        (damage_database, "cannot be opened as a database"),
        (alter_checkpoint, "published checkpoint is not of this log"),
        (come_from_the_future, "is of a newer Ostiary"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_refused(home: Any, decision: Decision, spoil: Callable[[Any], None], words: str) -> None:
    """Each way in which key, database and folder can disagree."""
    async with home.open() as recorder:
        for i in range(3):
            await recorder.record(decision(i))
    spoil(home)
    with pytest.raises(StoreError, match=words):
        async with home.open():
            pytest.fail("opened")


async def test_a_missing_database_is_not_made(home: Any, decision: Decision) -> None:
    """Refusing leaves nothing behind that would make the next start look like a new log."""
    async with home.open() as recorder:
        await recorder.record(decision(1))
    home.store.unlink()
    for _ in range(2):
        with pytest.raises(StoreError, match="is missing"):
            async with home.open():
                pytest.fail("opened")
    assert not home.store.exists()


async def test_files_are_for_their_owner(home: Any, decision: Decision) -> None:
    """The database holds salts and listings: nobody else may read it, nor its write-ahead log."""
    async with home.open() as recorder:
        await recorder.record(decision(1))
        for name in ("ostiary.db", "ostiary.db-wal"):
            assert (home.store.parent / name).stat().st_mode & 0o077 == 0


async def test_durability_settings(home: Any, decision: Decision) -> None:
    """The database is in WAL mode, and each connection syncs every commit."""
    async with home.open() as recorder:
        await recorder.record(decision(1))
        with recorder._readers.connect() as connection:
            for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
                assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


async def test_the_migrations_make_the_schema(home: Any, tmp_path: Path) -> None:
    """What the migrations make is what queries are written against."""
    async with home.open():
        pass
    engine = create_engine(f"sqlite:///{home.store}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, [metadata, sqlite_metadata]) == []
    engine.dispose()


async def test_the_database_holds_constraints_of_its_own(home: Any, decision: Decision) -> None:
    """Even a program that does not ask first cannot give a tenant's key two decisions, or an entry two."""
    async with home.open() as recorder:
        await recorder.record(decision(1, key="a"))
        await recorder.record(decision(2, key="b"))
    for statement in (
        "UPDATE decisions SET idempotency_key = 'a'",
        "UPDATE decisions SET log_index = 0",
        "UPDATE decisions SET check_id = 'same'",
        "INSERT INTO logs VALUES (2, 'another')",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            home.sql(statement)


async def test_a_file_that_another_gateway_makes(home: Any, decision: Decision) -> None:
    """Of two gateways that start at once over a new file, one waits while the other writes its first page."""
    home.store.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(home.store, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.2, other.execute, "ROLLBACK")
        async with home.open() as recorder:
            await recorder.record(decision(1))
