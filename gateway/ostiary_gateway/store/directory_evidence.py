"""The evidence store over a directory: one sealed file per item, `tenant/check id/name`."""

import asyncio
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from ostiary_gateway.durable import sync_folder
from ostiary_gateway.offload import offload, quick_to_hash
from ostiary_gateway.store.database import unavailable
from ostiary_gateway.store.item_files import ItemFiles
from ostiary_gateway.store.key_source import KeySource
from ostiary_gateway.store.sealing import HEADER_BYTES, ItemName, name_part
from ostiary_gateway.store.writing_main import AT_ONCE
from ostiary_gateway.store.writing_process import WritingProcess

# From so many bytes on, handing an item to another process takes longer than its calls of the system hold
# the event loop up, and its memory once more.
LARGE = 512 * 1024
_LARGE_AT_ONCE = 8


class DirectoryEvidence:
    """An `EvidenceStore` whose files survive a crash of the machine whole or not at all.

    See `ItemFiles` for what is left of an item that was being written. A process of its own writes, or a
    thread where an item is large; leaving the store's context ends them. Who only reads need not enter.
    """

    def __init__(self, root: Path, key: KeySource) -> None:
        """`root` is made on the first write."""
        self._root = root
        self._key = key
        self._writing = WritingProcess(root)
        self._files = ItemFiles(root)
        self._threads = ThreadPoolExecutor(_LARGE_AT_ONCE, thread_name_prefix="evidence")
        # What waits for its turn is not sealed yet: that would take its size once more.
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def put(self, tenant: str, check_id: str, name: str, data: bytes) -> None:
        """See `EvidenceStore.put`."""
        item = ItemName.of(tenant, check_id, name)
        try:
            if len(data) >= LARGE:
                await asyncio.get_running_loop().run_in_executor(self._threads, self._write_large, item, data)
                return
            async with self._turns:
                sealed = await offload(quick_to_hash(len(data)), self._key.current().seal, item, data)
                await self._writing.write(str(item), sealed)
        except OSError as error:
            raise unavailable(error) from error

    async def get(self, tenant: str, check_id: str, name: str) -> bytes | None:
        """See `EvidenceStore.get`."""
        item = ItemName.of(tenant, check_id, name)
        sealed = await asyncio.to_thread(self._read, item)
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

    async def __aenter__(self) -> Self:
        """The store itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what writes."""
        await self._writing.close()
        await asyncio.to_thread(self._threads.shutdown)

    def _write_large(self, item: ItemName, data: bytes) -> None:
        self._files.write(str(item), self._key.current().seal(item, data))

    def _path(self, item: ItemName) -> Path:
        return self._root / item.tenant / item.check_id / item.name

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
