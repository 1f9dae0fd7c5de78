"""Noticing that a file has changed, and reading it with errors in words."""

from pathlib import Path

FileStamp = tuple[int, int, int] | None
"""Modification time in ns, size in bytes and inode; None where there is no file."""


def stamp(path: Path) -> FileStamp:
    """What changes when the file does; follows symbolic links, as Kubernetes rotates secrets by them."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_file(path: Path) -> bytes:
    """The file's bytes; ValueError, in words, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
