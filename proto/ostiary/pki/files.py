"""Writing credentials so that a reader never sees half a file, and a key is never readable by others."""

import os
import tempfile
from pathlib import Path

PUBLIC = 0o644
SECRET = 0o600


def write_atomically(path: Path, data: bytes, mode: int) -> None:
    """Writes a whole file under its final name with `mode`; the file is on disk when this returns."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def create(path: Path, data: bytes, mode: int) -> None:
    """Like `write_atomically`, but FileExistsError where there is such a file already."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
