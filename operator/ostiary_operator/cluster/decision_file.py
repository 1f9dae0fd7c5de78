"""The decision log as a file that does not grow for ever."""

from __future__ import annotations

from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)
MOST_BYTES = 64 * 2**20


class DecisionFile:
    """Lines, appended; a full file becomes `NAME.1`, in place of the one before it."""

    def __init__(self, path: Path, most: int = MOST_BYTES) -> None:
        """`most`: bytes of one file. Raises OSError where it cannot be written."""
        self._path = path
        self._most = most
        with path.open("ab"):
            pass

    def write(self, line: str) -> None:
        """One decision. Where the disk refuses, pods are scaled all the same."""
        try:
            data = f"{line}\n".encode()
            if self._path.exists() and self._path.stat().st_size + len(data) > self._most:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            with self._path.open("ab") as file:
                file.write(data)
        except OSError as error:
            _log.warning("decision.not_logged", file=str(self._path), error=str(error))
