"""A fake of a KMS plug-in, for tests and benchmarks: what it calls its KMS are keys in its own memory.

The rest is what a plug-in is: a gRPC server at a Unix socket that serves v2.KeyManagementService, encrypts
with AES-GCM under its newest key, has older ones for what they encrypted, and wants its annotations back.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ostiary.kms.v2 import plugin_pb2_grpc
from ostiary.kms.v2.plugin_pb2 import (
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
    StatusRequest,
    StatusResponse,
)

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

_ANNOTATION = "fake.kms.example"


@dataclass
class FakeKms:
    """The KMS behind the plug-in, which outlives it."""

    keys: dict[str, bytes] = field(default_factory=dict)
    key_id: str = ""

    def __post_init__(self) -> None:
        self.rotate()

    def rotate(self) -> str:
        """Another key from now on; what older ones encrypted can still be decrypted."""
        self.key_id = f"projects/shop/keys/evidence/versions/{len(self.keys) + 1}"
        self.keys[self.key_id] = secrets.token_bytes(32)
        return self.key_id


@dataclass
class FakePlugin(plugin_pb2_grpc.KeyManagementServiceServicer):
    """The plug-in, with what is wrong with it, and how often it was asked."""

    kms: FakeKms = field(default_factory=FakeKms)
    version: str = "v2"
    healthz: str = "ok"
    told_key_id: str | None = None
    """What Status says in place of the KMS's key; None: that."""
    failing: dict[str, grpc.StatusCode] = field(default_factory=dict)
    """Methods that fail, and how."""
    slow: set[str] = field(default_factory=set)
    """Methods that do not answer."""
    ciphertext: bytes | None = None
    plaintext: bytes | None = None
    annotations: dict[str, bytes] | None = None
    instead: dict[bytes, bytes | grpc.StatusCode] = field(default_factory=dict)
    """What Decrypt makes of single ciphertexts."""
    asked: Counter[str] = field(default_factory=Counter)
    seen: list[bytes] = field(default_factory=list)
    """What Encrypt was given."""

    def mend(self) -> None:
        """Nothing is wrong with it any more."""
        good = FakePlugin(self.kms)
        for name in set(vars(good)) - {"kms", "asked", "seen"}:
            setattr(self, name, getattr(good, name))

    async def Status(self, request: StatusRequest, context: "Context") -> StatusResponse:  # noqa: N802
        await self._begin("Status", context)
        key_id = self.kms.key_id if self.told_key_id is None else self.told_key_id
        return StatusResponse(version=self.version, healthz=self.healthz, key_id=key_id)

    async def Encrypt(self, request: EncryptRequest, context: "Context") -> EncryptResponse:  # noqa: N802
        await self._begin("Encrypt", context)
        assert request.uid
        self.seen.append(request.plaintext)
        nonce = secrets.token_bytes(12)
        bound = secrets.token_bytes(16)
        sealed = nonce + AESGCM(self.kms.keys[self.kms.key_id]).encrypt(nonce, request.plaintext, bound)
        return EncryptResponse(
            ciphertext=sealed if self.ciphertext is None else self.ciphertext,
            key_id=self.kms.key_id,
            annotations={_ANNOTATION: bound} if self.annotations is None else self.annotations,
        )

    async def Decrypt(self, request: DecryptRequest, context: "Context") -> DecryptResponse:  # noqa: N802
        await self._begin("Decrypt", context)
        assert request.uid
        instead = self.instead.get(request.ciphertext)
        if isinstance(instead, grpc.StatusCode):
            await context.abort(instead, "as the test wants it")
        if instead is not None:
            return DecryptResponse(plaintext=instead)
        nonce, sealed = request.ciphertext[:12], request.ciphertext[12:]
        try:
            key = AESGCM(self.kms.keys[request.key_id])
            plaintext = key.decrypt(nonce, sealed, request.annotations[_ANNOTATION])
        except (KeyError, InvalidTag, ValueError):
            # As plug-ins in Go do, whatever it was.
            await context.abort(grpc.StatusCode.UNKNOWN, "the KMS cannot decrypt this")
        return DecryptResponse(plaintext=plaintext if self.plaintext is None else self.plaintext)

    async def _begin(self, method: str, context: "Context") -> None:
        self.asked[method] += 1
        if method in self.slow:
            await asyncio.sleep(60)
        if method in self.failing:
            await context.abort(self.failing[method], "as the test wants it")


@asynccontextmanager
async def serving(plugin: FakePlugin, socket: Path) -> AsyncIterator[None]:
    """The plug-in at its socket, which is gone afterwards."""
    server = grpc.aio.server()
    plugin_pb2_grpc.add_KeyManagementServiceServicer_to_server(plugin, server)
    server.add_insecure_port(f"unix:{quote(str(socket))}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)
