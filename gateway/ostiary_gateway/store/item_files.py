"""Files of items below a folder, `tenant/check id/name`: whole and durable, or not there.

It imports next to nothing: the process that writes items starts with it in some 30 ms.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ostiary_gateway.durable import sync_folder

# What a file system answers that has no files without a name.
_NAMES_ONLY = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


class ItemFiles:
    """Writes items; any number of threads may do so at once.

    An item has no name before it is whole: of one that was being written when the process was killed, nothing
    is left; nor of the one that it was to replace, perhaps. File systems without nameless files (NFS) keep a
    file with a leading dot until its check is erased.
    """

    def __init__(self, root: Path) -> None:
        """`root` is made on the first write."""
        self._root = root
        self._durable: set[Path] = set()

    def write(self, path: str, data: bytes | bytearray) -> None:
        """Put `data` in place of what the item at `path`, below the root, held before. Raises OSError."""
        tenant, check, name = path.split("/")
        above = self._root / tenant
        folder = above / check
        if above not in self._durable:
            self._make(above)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:  # somebody has cleared the store
            self._make(above)
            folder.mkdir(mode=0o700, exist_ok=True)
        _write_durably(folder, name, data)
        sync_folder(above)

    def _make(self, tenant: Path) -> None:
        """Make a tenant's folder, durably."""
        missing = [folder for folder in (tenant, *tenant.parents) if not folder.exists()]
        tenant.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The root's too where nothing is missing: another may have made the folder just now.
        for folder in {self._root, *(folder.parent for folder in missing)}:
            sync_folder(folder)
        self._durable.add(tenant)


def _write_durably(folder: Path, name: str, data: bytes | bytearray) -> None:
    """Put a whole file in place at once, durably."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            # The folder by its descriptor: it stays the same one, whatever becomes of its path.
            file = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_TMPFILE, 0o600)
        except OSError as error:
            if error.errno not in _NAMES_ONLY:
                raise
            _write_staged(descriptor, name, data)
        else:
            with _closing(file):
                _write_all(file, data)
                _link(file, descriptor, name)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_staged(folder: int, name: str, data: bytes | bytearray) -> None:
    """As a file with a leading dot first, as no item can be called, where files need names."""
    staged = f".{secrets.token_hex(8)}"
    try:
        with _closing(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)) as file:
            _write_all(file, data)
        os.rename(staged, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(staged, dir_fd=folder)
        raise


@contextmanager
def _closing(file: int) -> Iterator[int]:
    try:
        yield file
    finally:
        os.close(file)


def _write_all(file: int, data: bytes | bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fsync(file)


def _link(file: int, folder: int, name: str) -> None:
    """Give a nameless file its name, in place of what has it."""
    while True:
        try:
            os.link(f"/proc/self/fd/{file}", name, dst_dir_fd=folder, follow_symlinks=True)
            return
        except FileExistsError:
            # A retry: of a check that is not on record yet, whose evidence nobody reads.
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
