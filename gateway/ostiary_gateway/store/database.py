"""Opens the record's database: durable on every commit, at the newest schema.

It is an SQLite file, for its owner alone, or PostgreSQL, named by a URL.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.durable import sync_folder
from ostiary_gateway.store.driver import driver_cursor
from ostiary_gateway.store.postgres import grant, is_away, open_postgres

T = TypeVar("T")
_WAIT_SECONDS = 5
_LOCKED_SECONDS = 0.01
# FULL, not NORMAL: in WAL mode NORMAL loses the last commits when the machine loses power.
_PRAGMAS = (
    f"PRAGMA busy_timeout = {_WAIT_SECONDS * 1_000}",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # Pages (of 4 KiB) of write-ahead log before they go to the database: each time costs two more syncs.
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA cache_size = -32000",
    # What is erased is overwritten, also in pages that nothing uses any more.
    "PRAGMA secure_delete = ON",
)


Store = Path | str
"""Where the record is: an SQLite file, or a URL that begins with `postgresql://`."""


class StoreGoneError(SQLAlchemyError):
    """The database file is not where it was: what is written to it now would be lost with this process."""


class StoreError(ValueError):
    """The store cannot be opened as it is; the message says what to do."""


class StoreAwayError(StoreError):
    """The store takes no connections now; it may a moment later."""


def unavailable(error: BaseException) -> OstiaryError:
    """What a caller hears when the store failed; details go to the log, not to the caller."""
    failure = OstiaryError(Reason.STORE_UNAVAILABLE, "the record cannot be reached; nothing was decided")
    failure.__cause__ = error
    return failure


def open_engine(store: Store, *, begin: str, pool_size: int = 1) -> Engine:
    """An engine whose transactions start with `begin`: `BEGIN IMMEDIATE` to write, `BEGIN` to read.

    It blocks, and is for threads: a driver that hops to a thread and back for every statement of a
    transaction takes longer than the statements do.
    """
    if isinstance(store, str):
        try:
            return open_postgres(store, writes=begin != "BEGIN", pool_size=pool_size)
        except ImportError as error:
            words = f"{named(store)} needs PostgreSQL's driver: pip install 'ostiary[postgres]' ({error})"
            raise StoreError(words) from error
    # A file that is not there is not made: that would be an empty record in place of a lost one.
    url = f"sqlite:///{store.absolute().as_uri()}?mode=rw&uri=true"
    engine = create_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=10)
    _configure(engine, begin, store)
    return engine


def _configure(engine: Engine, begin: str, path: Path) -> None:
    """Make each connection durable, and each transaction start where it is asked for, in the file of now.

    Another file in its place is not taken: what it holds was not looked at when the record was opened.
    """
    opened = _identity(path)

    def expect_file() -> None:
        if _identity(path) != opened:
            raise StoreGoneError(f"{path} is gone, or another file is in its place")

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        expect_file()
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        _set_write_ahead(cursor)
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        expect_file()
        with driver_cursor(connection) as cursor:
            cursor.execute(begin)

    @event.listens_for(engine, "commit")
    def end(_: Connection) -> None:
        expect_file()


def _set_write_ahead(cursor: sqlite3.Cursor) -> None:
    """Make the file's journal a write-ahead log, which it stays.

    Where two processes open a new file at once, one finds it locked: SQLite does not wait for this.
    Raises sqlite3.OperationalError where it is locked for longer than writers are waited for.
    """
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_LOCKED_SECONDS)
        else:
            return


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells files apart that have had the same name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def named(store: Store) -> str:
    """The store in words, without the password that a URL may hold."""
    return make_url(store).render_as_string(hide_password=True) if isinstance(store, str) else str(store)


def prepare_file(path: Path) -> None:
    """Make the database file, readable by its owner alone, where there is none. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        sync_folder(path.parent)


def store_error(engine: Engine, store: Store, error: DBAPIError, why: str) -> StoreError:
    """What it means that a store failed while it was opened; `why` says it of one that let us in."""
    if isinstance(store, str):
        if is_away(engine, error):
            return StoreAwayError(f"{named(store)} takes no connections now: {error.orig}")
        if error.statement is None:
            return StoreError(f"{named(store)} lets nobody in with these settings: {error.orig}")
    return StoreError(f"{named(store)} {why}: {error.orig}")


def migrate(engine: Engine, store: Store) -> None:
    """Bring the schema to the newest revision.

    Raises StoreError, and StoreAwayError where it can be tried again.
    """
    try:
        with engine.begin() as connection:
            if not _is_newest(connection):
                _upgrade(connection)
    except CommandError as error:
        raise StoreError(f"{named(store)} is of a newer Ostiary; start that one ({error})") from error
    except DBAPIError as error:
        why = "cannot be opened as a database"
        if isinstance(store, str):
            why = "cannot be brought up to date, which its owner may"
        raise store_error(engine, store, error, why) from error


def _is_newest(connection: Connection) -> bool:
    """Whether there is nothing to do, which takes no rights to find out."""
    return MigrationContext.configure(connection).get_current_revision() == _scripts().get_current_head()


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "postgresql":
        grant(connection)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "ostiary_gateway.store:migrations")
    return config


async def transact(engine: Engine, thread: Executor, work: Callable[[Connection], T]) -> T:
    """What `work` gives, in one transaction on a thread. Raises OstiaryError (STORE_UNAVAILABLE)."""

    def begin() -> T:
        with engine.begin() as connection:
            return work(connection)

    try:
        return await asyncio.get_running_loop().run_in_executor(thread, begin)
    except SQLAlchemyError as error:
        raise unavailable(error) from error
