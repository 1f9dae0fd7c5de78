"""The evidence store over an S3 bucket: one sealed object per item, `prefix/tenant/check id/name`."""

import asyncio
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from ostiary_gateway.offload import offload, quick_to_hash
from ostiary_gateway.store.database import unavailable
from ostiary_gateway.store.key_source import KeySource
from ostiary_gateway.store.sealing import HEADER_BYTES, ItemName, name_part

T = TypeVar("T")
_PROBE = "ostiary-probe"
_TIMEOUT = timedelta(seconds=10)
_RETRIES = 3


@dataclass(frozen=True)
class Bucket:
    """Where items are kept. Credentials are those of the environment (`AWS_…`) or of the machine's role.

    Attributes:
        name: the bucket's.
        prefix: what all names begin with; may be empty.
        endpoint: URL of the server; None for Amazon's own.
        region: the bucket's.
        plain_http: whether `endpoint` may be without TLS.
    """

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    plain_http: bool = False


class S3Evidence:
    """An `EvidenceStore` in a bucket that keeps one version of each object: what is overwritten is gone.

    Calls wait on threads of the client's own, never on the event loop.
    """

    def __init__(self, bucket: Bucket, key: KeySource) -> None:
        self._bucket = bucket
        self._key = key
        self._store = S3Store(
            bucket.name,
            prefix=bucket.prefix or None,
            config={"region": bucket.region, **({"endpoint": bucket.endpoint} if bucket.endpoint else {})},
            client_options={"timeout": _TIMEOUT, "allow_http": bucket.plain_http},
            retry_config={"max_retries": _RETRIES, "retry_timeout": 2 * _TIMEOUT},
        )

    async def check(self) -> None:
        """Write an object and delete it. Raises ValueError, in words, where it fails or leaves a version."""
        try:
            written = await obstore.put_async(self._store, _PROBE, b"")
            await obstore.delete_async(self._store, _PROBE)
        except (BaseError, OSError) as error:
            raise ValueError(f"evidence cannot be kept in the bucket {self._bucket.name}: {error}") from error
        if written["version"] is not None:
            raise ValueError(
                f"the bucket {self._bucket.name} keeps old versions of objects, so that nothing in it can be "
                "erased: take one without versioning"
            )

    async def put(self, tenant: str, check_id: str, name: str, data: bytes) -> None:
        """See `EvidenceStore.put`."""
        item, key = ItemName.of(tenant, check_id, name), self._key.current()
        sealed = await offload(quick_to_hash(len(data)), key.seal, item, data)
        await _answered(obstore.put_async(self._store, _path(item), sealed))

    async def get(self, tenant: str, check_id: str, name: str) -> bytes | None:
        """See `EvidenceStore.get`."""
        item = ItemName.of(tenant, check_id, name)
        try:
            found = await obstore.get_async(self._store, _path(item))
            sealed = bytes(await found.bytes_async())
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise unavailable(error) from error
        key = await self._key.opening(item, sealed)
        return await offload(quick_to_hash(len(sealed)), key.open, item, sealed)

    async def discard(self, tenant: str, check_id: str, name: str) -> None:
        """See `EvidenceStore.discard`."""
        await self._delete(ItemName.of(tenant, check_id, name))

    async def names(self, tenant: str, check_id: str) -> list[str]:
        """See `EvidenceStore.names`."""
        folder = f"{name_part(tenant)}/{name_part(check_id)}/"
        try:
            found = await obstore.list(self._store, prefix=folder).collect_async()
        except (BaseError, OSError) as error:
            raise unavailable(error) from error
        return sorted(str(each["path"]).rpartition("/")[2] for each in found)

    async def shred(self, tenant: str, check_id: str) -> None:
        """See `EvidenceStore.shred`: what an object held is first replaced, then deleted."""
        items = [ItemName.of(tenant, check_id, name) for name in await self.names(tenant, check_id)]
        noise = secrets.token_bytes(HEADER_BYTES)
        await asyncio.gather(
            *(_answered(obstore.put_async(self._store, _path(item), noise)) for item in items)
        )
        await asyncio.gather(*(self._delete(item) for item in items))

    async def _delete(self, item: ItemName) -> None:
        try:
            await obstore.delete_async(self._store, _path(item))
        except (NotFoundError, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise unavailable(error) from error


def _path(item: ItemName) -> str:
    return f"{item.tenant}/{item.check_id}/{item.name}"


async def _answered(call: Awaitable[T]) -> T:
    try:
        return await call
    except (BaseError, OSError) as error:
        raise unavailable(error) from error
