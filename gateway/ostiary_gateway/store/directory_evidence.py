"""The evidence store over a directory: one sealed file per item, `tenant/check id/name`."""

import asyncio
import errno
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from ostiary_gateway.durable import sync_folder
from ostiary_gateway.offload import offload, quick_to_hash
from ostiary_gateway.store.database import unavailable
from ostiary_gateway.store.key_source import KeySource
from ostiary_gateway.store.sealing import HEADER_BYTES, ItemName, name_part

# Each waits for the disk. The more wait at once, the more one commit of the file system serves.
_THREADS = 32
# What a file system answers that has no files without a name.
_NAMES_ONLY = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


class DirectoryEvidence:
    """An `EvidenceStore` whose files survive a crash of the machine whole or not at all.

    An item has no name before it is whole: of one that was being written when the process was killed, nothing
    is left; nor of the one that it was to replace, perhaps. File systems without nameless files (NFS) keep a
    file with a leading dot, sealed like every other, until its check is erased.
    """

    def __init__(self, root: Path, key: KeySource) -> None:
        """`root` is made on the first write."""
        self._root = root
        self._key = key
        self._durable: set[Path] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="evidence")

    async def put(self, tenant: str, check_id: str, name: str, data: bytes) -> None:
        """See `EvidenceStore.put`."""
        item = ItemName.of(tenant, check_id, name)
        await asyncio.get_running_loop().run_in_executor(self._threads, self._write, item, data)

    async def get(self, tenant: str, check_id: str, name: str) -> bytes | None:
        """See `EvidenceStore.get`."""
        item = ItemName.of(tenant, check_id, name)
        sealed = await asyncio.get_running_loop().run_in_executor(self._threads, self._read, item)
        if sealed is None:
            return None
        key = await self._key.opening(item, sealed)
        return await offload(quick_to_hash(len(sealed)), key.open, item, sealed)

    async def discard(self, tenant: str, check_id: str, name: str) -> None:
        """See `EvidenceStore.discard`."""
        item = ItemName.of(tenant, check_id, name)
        await asyncio.to_thread(self._remove, item)

    async def names(self, tenant: str, check_id: str) -> list[str]:
        """See `EvidenceStore.names`."""
        folder = self._root / name_part(tenant) / name_part(check_id)
        return await asyncio.to_thread(_names, folder)

    async def shred(self, tenant: str, check_id: str) -> None:
        """See `EvidenceStore.shred`."""
        folder = self._root / name_part(tenant) / name_part(check_id)
        await asyncio.to_thread(_shred, folder)

    def _path(self, item: ItemName) -> Path:
        return self._root / item.tenant / item.check_id / item.name

    def _write(self, item: ItemName, data: bytes) -> None:
        sealed = self._key.current().seal(item, data)
        tenant = self._root / item.tenant
        folder = tenant / item.check_id
        try:
            if tenant not in self._durable:
                self._make(tenant)
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
            except FileNotFoundError:  # somebody has cleared the store
                self._make(tenant)
                folder.mkdir(mode=0o700, exist_ok=True)
            _write_durably(folder, item.name, sealed)
            sync_folder(tenant)
        except OSError as error:
            raise unavailable(error) from error

    def _make(self, tenant: Path) -> None:
        """Make a tenant's folder, durably."""
        missing = [folder for folder in (tenant, *tenant.parents) if not folder.exists()]
        tenant.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The root's too where nothing is missing: another may have made the folder just now.
        for folder in {self._root, *(folder.parent for folder in missing)}:
            sync_folder(folder)
        self._durable.add(tenant)

    def _remove(self, item: ItemName) -> None:
        path = self._path(item)
        try:
            path.unlink(missing_ok=True)
            if path.parent.exists() and not any(path.parent.iterdir()):
                path.parent.rmdir()
        except OSError as error:
            raise unavailable(error) from error

    def _read(self, item: ItemName) -> bytes | None:
        try:
            return self._path(item).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unavailable(error) from error


def _write_durably(folder: Path, name: str, data: bytes) -> None:
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


def _write_staged(folder: int, name: str, data: bytes) -> None:
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


def _write_all(file: int, data: bytes) -> None:
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


def _names(folder: Path) -> list[str]:
    try:
        # A leading dot: a file that never became an item.
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unavailable(error) from error


def _shred(folder: Path) -> None:
    """Destroy the keys of all files in a folder, for good, then the files and the folder."""
    try:
        files = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise unavailable(error) from error
    try:
        for path in files:
            with suppress(FileNotFoundError):  # another gateway shreds the same check
                _destroy_key(path)
        for path in files:
            path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            folder.rmdir()
        sync_folder(folder.parent)
    except OSError as error:
        raise unavailable(error) from error


def _destroy_key(path: Path) -> None:
    """Overwrite the wrapped key where it stands, durably."""
    with path.open("r+b") as file:
        file.write(secrets.token_bytes(HEADER_BYTES))
        file.flush()
        os.fsync(file.fileno())
