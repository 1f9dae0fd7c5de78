"""The folder that a log is published to: whole files, durable, and the checkpoint last."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ostiary.tlog.growth import TILE_WIDTH
from ostiary.tlog.tiles import CHECKPOINT, Tile
from ostiary_gateway.durable import sync_folder

_STAGING = ".staging"  # below the folder itself: a rename cannot cross file systems


class LogFolder:
    """Blocking writes below one folder. Methods raise OSError."""

    def __init__(self, root: Path, lock: Path) -> None:
        """`lock` is a file outside `root` that processes publishing to the same folder share."""
        self._root = root
        self._lock = lock

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Publish alone, and without what a crash left half written."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._root.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self._root / _STAGING, ignore_errors=True)
            yield

    def checkpoint(self) -> str | None:
        """The note that is published; None where none is."""
        try:
            return (self._root / CHECKPOINT).read_bytes().decode()
        except FileNotFoundError:
            return None

    def is_empty(self) -> bool:
        """Whether nothing at all is published."""
        return not self._root.exists() or not any(self._root.iterdir())

    def write_tile(self, tile: Tile, data: bytes) -> None:
        """Write a tile; a full one makes its partial ones superfluous."""
        path = self._root / tile.path
        self._write(path, data)
        if tile.width == TILE_WIDTH:
            shutil.rmtree(path.with_name(path.name + ".p"), ignore_errors=True)

    def write_checkpoint(self, note: str) -> None:
        """Say that everything up to here is published."""
        self._write(self._root / CHECKPOINT, note.encode())
        (self._root / _STAGING).rmdir()

    def _write(self, path: Path, data: bytes) -> None:
        """Put a whole file in place at once, durably, with the names of the folders that lead to it."""
        staged = self._root / _STAGING / path.name
        staged.parent.mkdir(exist_ok=True)
        with staged.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        made = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(path)
        for folder in (path.parent, *(folder.parent for folder in made)):
            sync_folder(folder)
