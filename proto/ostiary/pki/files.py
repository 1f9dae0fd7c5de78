"""Writing credentials so that a reader never sees half a file, and a key is never readable by others."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PUBLIC = 0o644
SECRET = 0o600


@dataclass(frozen=True)
class Content:
    """What a file shall hold, and its mode."""

    data: bytes
    mode: int


def replace(files: Mapping[Path, Content]) -> None:
    """Writes files whole under their final names; they are on disk when this returns.

    All are written before the first is renamed, so that a certificate and its key change places with the old
    ones within microseconds: a reader that follows them all but never sees a pair that does not match.
    """
    temporary: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            temporary[path] = Path(name)
            _write(descriptor, content)
        for path, written in temporary.items():
            written.rename(path)
    finally:
        for written in temporary.values():
            written.unlink(missing_ok=True)


def create(path: Path, content: Content) -> None:
    """Writes a file that must not exist yet; FileExistsError where it does."""
    _write(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, content.mode), content)


def _write(descriptor: int, content: Content) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, content.mode)
        stream.write(content.data)
        stream.flush()
        os.fsync(descriptor)
