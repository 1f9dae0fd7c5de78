"""Opens the record: refuses what does not fit together, and starts what writes and publishes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ostiary.tlog.keys import load_log_key
from ostiary.tlog.note import NoteError, SignerKey, VerifierKey
from ostiary_gateway.store.database import (
    Store,
    StoreAwayError,
    StoreError,
    migrate,
    named,
    open_engine,
    prepare_file,
    store_error,
)
from ostiary_gateway.store.database_recorder import DatabaseRecorder
from ostiary_gateway.store.folder import LogFolder
from ostiary_gateway.store.publisher import Publisher, published_size
from ostiary_gateway.store.schema import logs
from ostiary_gateway.store.writer import Writer
from ostiary_gateway.times import utc_now

_READERS = 4
_PUBLISH_INTERVAL = 0.25
_AWAY_SECONDS = 1.0
"""Between two tries at a database that takes no connections."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_recorder(
    *,
    store: Store,
    log_dir: Path,
    log_key: Path,
    origin: str,
    clock: Callable[[], datetime] = utc_now,
    publish_interval: float = _PUBLISH_INTERVAL,
) -> AsyncIterator[DatabaseRecorder]:
    """The recorder over `store`, its log signed with `log_key` and published to `log_dir`.

    A database file that is not there is made, unless its log has been published; a server that is away, or
    recovers, is waited for as long as it takes. On leaving, what was recorded is published. `clock` gives
    aware times; `publish_interval` is in seconds.

    Raises StoreError, whose words say what to do: the key is missing or is not of `origin`, the database
    belongs to another log or cannot be opened, or the folder holds what this database never signed.
    """
    key = _load_key(log_key, origin)
    folder = LogFolder(log_dir, _publishing_lock(store, log_dir))
    _prepare(store, folder, log_dir)
    async with AsyncExitStack() as stack:
        writers = open_engine(store, begin="BEGIN IMMEDIATE")
        stack.callback(writers.dispose)
        readers = open_engine(store, begin="BEGIN", pool_size=_READERS)
        stack.callback(readers.dispose)
        threads = stack.enter_context(ThreadPoolExecutor(_READERS, thread_name_prefix="recorded"))
        published = open_engine(store, begin="BEGIN")
        stack.callback(published.dispose)
        await _until_there(writers, key.verifier, folder, store)
        publisher = Publisher(published, folder, key.verifier, publish_interval)
        writer = Writer(writers, key, committed=publisher.notify)
        publishing_task = asyncio.create_task(publisher.run())
        writing_task = asyncio.create_task(writer.run())
        try:
            yield DatabaseRecorder(writer, readers, threads, origin, clock)
        finally:
            writer.close()
            await writing_task
            publisher.close()
            await publishing_task


def _publishing_lock(store: Store, log_dir: Path) -> Path:
    """The file that processes share that publish to the folder: beside what they have in common."""
    beside = log_dir if isinstance(store, str) else store
    return beside.with_name(beside.name + ".publishing")


def _load_key(path: Path, origin: str) -> SignerKey:
    try:
        key = load_log_key(path)
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing: make the log's key with `ostiary gateway init`") from error
    except (OSError, NoteError) as error:
        raise StoreError(f"the log's key cannot be read: {error}") from error
    if key.name != origin:
        raise StoreError(f"{path} is the key of {key.name}, but the settings name the log {origin}")
    return key


def _prepare(store: Store, folder: LogFolder, log_dir: Path) -> None:
    """Make the database file, unless that would start a log anew behind the auditors' backs."""
    if isinstance(store, str):
        return  # its tables are made where there are none, and held against the folder then
    try:
        # In this order: what another process has published since, it has published from its database.
        if not folder.is_empty() and not store.exists():
            raise StoreError(
                f"{store} is missing, but its log is published in {log_dir}: restore the database, or start "
                "another log, with an origin, a key and a folder of its own"
            )
        prepare_file(store)
    except OSError as error:
        raise StoreError(f"{store} cannot be made: {error}") from error


async def _until_there(writers: Engine, key: VerifierKey, folder: LogFolder, store: Store) -> None:
    """Prepare the store, once it takes connections. Raises StoreError."""
    while True:
        try:
            await asyncio.to_thread(prepare_store, writers, key, folder, store)
        except StoreAwayError as error:
            _log.warning("store.waiting", error=str(error))
        else:
            return
        await asyncio.sleep(_AWAY_SECONDS)


def prepare_store(writers: Engine, key: VerifierKey, folder: LogFolder, store: Store) -> None:
    """Hold database, key and folder against one another; a database without a log becomes the key's."""
    migrate(writers, store)
    try:
        with writers.begin() as connection:
            _check_identity(connection, key, folder, store)
    except DBAPIError as error:
        raise store_error(writers, store, error, "cannot be used") from error
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(f"{named(store)} cannot be used: {error}") from error


def _check_identity(connection: Connection, key: VerifierKey, folder: LogFolder, store: Store) -> None:
    found = connection.scalar(select(logs.c.verifier_key))
    if found is None:
        connection.execute(insert(logs), {"id": 1, "verifier_key": str(key)})
    elif found != str(key):
        raise StoreError(f"{named(store)} belongs to the log {found}, but the key is that of {key}")
    published_size(folder, key, connection)
