"""Files that are replaced whole, and stay replaced after a crash."""

import os
import secrets
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of what `path` held: whoever reads it meanwhile reads the one or the other.

    A symbolic link is replaced, not followed. Raises OSError.
    """
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with staged.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
