"""Opens the record's database: durable on every commit, at the newest schema.

It is an SQLite file, for its owner alone, or PostgreSQL, named by a URL.
"""

import os
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.durable import sync_folder
from ostiary_gateway.store.postgres import grant, open_postgres

# FULL, not NORMAL: in WAL mode NORMAL loses the last commits when the machine loses power.
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # Pages (of 4 KiB) of write-ahead log before they go to the database: each time costs two more syncs.
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA cache_size = -32000",
    "PRAGMA busy_timeout = 5000",
)


Store = Path | str
"""Where the record is: an SQLite file, or a URL that begins with `postgresql://`."""


class StoreError(ValueError):
    """The store cannot be opened as it is; the message says what to do."""


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
    url = f"sqlite:///{store.absolute()}"
    engine = create_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=10)
    _configure(engine, begin)
    return engine


def _configure(engine: Engine, begin: str) -> None:
    """Make each connection durable, and each transaction start where it is asked for."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def named(store: Store) -> str:
    """The store in words, without the password that a URL may hold."""
    return make_url(store).render_as_string(hide_password=True) if isinstance(store, str) else str(store)


def prepare_file(path: Path) -> None:
    """Make the database file, readable by its owner alone, where there is none. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        sync_folder(path.parent)


def migrate(engine: Engine, store: Store) -> None:
    """Bring the schema to the newest revision. Raises StoreError."""
    try:
        with engine.begin() as connection:
            if not _is_newest(connection):
                _upgrade(connection)
    except CommandError as error:
        raise StoreError(f"{named(store)} is of a newer Ostiary; start that one ({error})") from error
    except DBAPIError as error:
        if isinstance(store, str):
            words = f"{named(store)} cannot be brought up to date, which its owner may: {error.orig}"
            raise StoreError(words) from error
        raise StoreError(f"{store} cannot be opened as a database: {error.orig}") from error


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
