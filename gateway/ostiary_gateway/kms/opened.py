"""Keys that a KMS has decrypted: those used last, in memory alone."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256

from google.protobuf.message import DecodeError

from ostiary.v1.evidence_pb2 import WrappedKey
from ostiary_gateway.kms.plugin import KmsError
from ostiary_gateway.store.sealing import KeyEncryptionKey, KmsKey

# One for each gateway, start, rotation and day that has evidence.
MOST_KEYS = 1024


class OpenedKeys:
    """Has each key decrypted once, and keeps the newest `MOST_KEYS`. For one event loop."""

    def __init__(self, decrypt: Callable[[WrappedKey], Awaitable[bytes]]) -> None:
        """`decrypt` asks the KMS, and raises KmsError."""
        self._decrypt = decrypt
        self._secrets: OrderedDict[bytes, bytes] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[bytes]] = {}

    def put(self, key: KeyEncryptionKey) -> None:
        """Keep a key that is known already."""
        self._keep(_digest(key), key.secret)

    async def get(self, key: KmsKey) -> KeyEncryptionKey:
        """The key in the clear. Raises KmsError."""
        digest = _digest(key)
        if digest in self._secrets:
            self._secrets.move_to_end(digest)
            return KeyEncryptionKey(self._secrets[digest], key.envelope)
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.create_task(self._ask(digest, key), name="kms decrypt")
            self._asking[digest] = asking
            asking.add_done_callback(lambda done: self._asked(digest, done))
        # One who goes away does not take the answer from those who wait for the same.
        return KeyEncryptionKey(await asyncio.shield(asking), key.envelope)

    def forget(self) -> None:
        """Keep none."""
        self._secrets.clear()

    async def close(self) -> None:
        """Keep none, and ask for none any more."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        self.forget()

    async def _ask(self, digest: bytes, key: KmsKey) -> bytes:
        try:
            wrapped = WrappedKey.FromString(key.envelope)
        except DecodeError as error:
            raise KmsError(f"there is no wrapped key to decrypt: {error}", lasting=True) from error
        secret = await self._decrypt(wrapped)
        if KeyEncryptionKey(secret).id != key.id:
            raise KmsError(f"what the KMS decrypted is not the key {key.id.hex()}", lasting=True)
        self._keep(digest, secret)
        return secret

    def _keep(self, digest: bytes, secret: bytes) -> None:
        self._secrets[digest] = secret
        while len(self._secrets) > MOST_KEYS:
            self._secrets.popitem(last=False)

    def _asked(self, digest: bytes, done: asyncio.Task[bytes]) -> None:
        del self._asking[digest]
        if not done.cancelled():
            done.exception()  # heard, also where nobody waits any more


def _digest(key: KmsKey | KeyEncryptionKey) -> bytes:
    return sha256(key.id + key.envelope).digest()
