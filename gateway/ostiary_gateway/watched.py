"""A file that is read again when it changes; a bad new version never replaces a good one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from ostiary.wire.files import stamp
from ostiary.wire.reloads import Reloads

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class WatchedFile(Generic[T]):
    """What a file holds, as last read well.

    There is no thread: `current` looks at the file when it was last looked at longer than `interval` seconds
    ago. The comparison covers the inode, so that the symlink swap of a mounted ConfigMap is noticed.
    """

    def __init__(
        self,
        path: Path,
        load: Callable[[str], T],
        *,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read `path` (UTF-8) for the first time.

        Args:
            path: the file.
            load: turns its text into a value; raises ValueError, in words, where it cannot.
            interval: seconds between looks.
            clock: monotonic seconds.

        Raises:
            ValueError: the file is missing or bad; the message begins with its path.
        """
        self._path = path
        self._load = load
        self._interval = interval
        self._clock = clock
        self._reloads = Reloads(path.name)
        self._looked_at = clock()
        self._stamp = stamp(path)
        self._value = self._read()

    def current(self) -> T:
        """The value; never raises."""
        now = self._clock()
        if now - self._looked_at >= self._interval:
            self._looked_at = now
            self.look()
        return self._value

    def look(self) -> None:
        """Look at the file now; never raises."""
        current = stamp(self._path)
        if current == self._stamp:
            return
        self._stamp = current
        try:
            self._value = self._read()
        except ValueError as error:
            self._reloads.rejected()
            _log.error("kept the last good version", file=str(self._path), error=str(error))
        else:
            self._reloads.applied()
            _log.info("read a new version", file=str(self._path))

    def _read(self) -> T:
        try:
            return self._load(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{self._path}: {error}") from error
