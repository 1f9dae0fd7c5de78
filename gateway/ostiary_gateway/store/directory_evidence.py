"""The evidence store over a directory: one sealed file per item, `tenant/check id/name`."""

import asyncio
import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ostiary_gateway.durable import sync_folder
from ostiary_gateway.store.database import unavailable
from ostiary_gateway.store.sealing import ItemName, KeyEncryptionKey

# Each waits for the disk. The more wait at once, the more one commit of the file system serves.
_THREADS = 32
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class DirectoryEvidence:
    """An `EvidenceStore` whose files survive a crash of the machine whole or not at all."""

    def __init__(self, root: Path, key: KeyEncryptionKey) -> None:
        """`root` is made on the first write."""
        self._root = root
        self._key = key
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="evidence")

    async def put(self, tenant: str, check_id: str, name: str, data: bytes) -> None:
        """See `EvidenceStore.put`."""
        item = _item(tenant, check_id, name)
        await asyncio.get_running_loop().run_in_executor(self._threads, self._write, item, data)

    async def get(self, tenant: str, check_id: str, name: str) -> bytes | None:
        """See `EvidenceStore.get`."""
        item = _item(tenant, check_id, name)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, item)

    async def discard(self, tenant: str, check_id: str, name: str) -> None:
        """See `EvidenceStore.discard`."""
        item = _item(tenant, check_id, name)
        await asyncio.to_thread(self._remove, item)

    def _path(self, item: ItemName) -> Path:
        return self._root / item.tenant / item.check_id / item.name

    def _write(self, item: ItemName, data: bytes) -> None:
        path = self._path(item)
        # A leading dot: no item can have such a name.
        staged = path.with_name(f".{secrets.token_hex(8)}")
        try:
            made = [folder for folder in path.parents if not folder.exists()]
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_durably(staged, self._key.seal(item, data))
            staged.replace(path)
            for folder in (path.parent, *(folder.parent for folder in made)):
                sync_folder(folder)
        except OSError as error:
            with suppress(OSError):
                staged.unlink()
            raise unavailable(error) from error

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
            sealed = self._path(item).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unavailable(error) from error
        return self._key.open(item, sealed)


def _write_durably(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _item(tenant: str, check_id: str, name: str) -> ItemName:
    for part in (tenant, check_id, name):
        if not _SAFE.fullmatch(part):
            raise ValueError(
                f"{part!r} cannot name evidence: 1 to 128 letters, digits, dots, underscores and hyphens, "
                "starting with a letter or digit"
            )
    return ItemName(tenant, check_id, name)
