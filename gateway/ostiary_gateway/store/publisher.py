"""Publishes the log as a folder that auditors take away, in the tlog-tiles layout.

The database is the truth; the folder follows it. Failing to publish loses nothing: it is tried again.
"""

import asyncio

import structlog
from sqlalchemy import Connection, Engine

from ostiary.tlog.checkpoint import open_checkpoint
from ostiary.tlog.growth import TILE_WIDTH
from ostiary.tlog.note import NoteError, VerifierKey
from ostiary.tlog.tiles import ENTRIES, Tile, encode_bundle, tiles_since
from ostiary_gateway.store import queries
from ostiary_gateway.store.database import StoreError
from ostiary_gateway.store.folder import LogFolder

LOG = structlog.get_logger("ostiary.store")


class Publisher:
    """The task that keeps the folder up with the database."""

    def __init__(self, engine: Engine, folder: LogFolder, key: VerifierKey, interval: float) -> None:
        """Publishes at most every `interval` seconds, and tries again after as long where it failed."""
        self._engine = engine
        self._folder = folder
        self._key = key
        self._interval = interval
        self._news = asyncio.Event()
        self._closing = asyncio.Event()

    def notify(self) -> None:
        """Say that the log has grown."""
        self._news.set()

    def close(self) -> None:
        """Publish what there is; `run` then returns."""
        self._closing.set()
        self._news.set()

    async def run(self) -> None:
        """Publish until closed: first what an earlier process left, then whenever the log has grown."""
        self._news.set()
        while True:
            await self._news.wait()
            self._news.clear()
            closing = self._closing.is_set()
            if not await self._try_to_publish():
                self._news.set()
            if closing:
                return
            await self._pause()

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), self._interval)
        except TimeoutError:
            return

    async def _try_to_publish(self) -> bool:
        try:
            await asyncio.to_thread(self.publish)
        except Exception as error:  # whatever it was, the database still has everything
            LOG.error("publishing the log failed", error=str(error))
            return False
        return True

    def publish(self) -> None:
        """Bring the folder up to the newest checkpoint; blocks.

        Raises OSError, SQLAlchemyError, and StoreError where the folder holds another log.
        """
        with self._folder.locked(), self._engine.connect() as connection:
            newest = queries.newest_checkpoint(connection)
            published = published_size(self._folder, self._key, connection)
            if newest is None or newest[0] == published:
                return
            size, note = newest
            for tile in tiles_since(published, size):
                self._folder.write_tile(tile, tile_data(connection, tile))
            self._folder.write_checkpoint(note)


def tile_data(connection: Connection, tile: Tile) -> bytes:
    """What a tile's file holds."""
    start = tile.index * TILE_WIDTH
    if tile.level == ENTRIES:
        return encode_bundle(queries.entry_data(connection, start, start + tile.width))
    return b"".join(queries.tile_hashes(connection, tile.level, start, start + tile.width))


def published_size(folder: LogFolder, key: VerifierKey, connection: Connection) -> int:
    """How many entries are published.

    Raises StoreError where the folder's checkpoint is not one that this database signed, OSError.
    """
    try:
        note = folder.checkpoint()
        size = 0 if note is None else open_checkpoint(note, key).size
    except (NoteError, UnicodeDecodeError) as error:
        raise StoreError(f"the published checkpoint is not of this log: {error}") from error
    if note is not None and queries.checkpoint_of(connection, size) != note:
        raise StoreError(
            f"the published log holds a checkpoint over {size} entries that this database never signed; "
            "restore the database that did"
        )
    return size
