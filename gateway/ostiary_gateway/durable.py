"""Files that are replaced whole, and stay replaced after a crash."""

import os
import secrets
from pathlib import Path


def replace_file(path: Path, data: bytes, *, keep_rights: bool = False) -> None:
    """Put `data` in the place of what `path` held: whoever reads it meanwhile reads the one or the other.

    `keep_rights`: under the owner and rights of what is replaced, and never readable for more people than
    that. A symbolic link is replaced, not followed. Raises OSError.
    """
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    before = path.stat() if keep_rights else None
    rights = 0o600 if before else 0o666
    try:
        with open(staged, "xb", opener=lambda name, flags: os.open(name, flags, rights)) as file:
            if before:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), before.st_mode & 0o777)
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
