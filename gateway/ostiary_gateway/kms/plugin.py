"""A client of a KMS plug-in as Kubernetes defines it (KMS v2), over its Unix socket.

What Kubernetes' API server holds plug-ins to is held here too: version, health, and the limits of answers.
"""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import grpc

from ostiary.kms.v2.plugin_pb2 import DecryptRequest, EncryptRequest, StatusRequest
from ostiary.kms.v2.plugin_pb2_grpc import KeyManagementServiceStub
from ostiary.v1.evidence_pb2 import WrappedKey
from ostiary.wire.telemetry import client_interceptors
from ostiary_gateway.store.sealing import MAX_ENVELOPE_BYTES

if TYPE_CHECKING:
    from ostiary.kms.v2.plugin_pb2_grpc import KeyManagementServiceAsyncStub

T = TypeVar("T")
API_VERSION, HEALTHY = "v2", "ok"
MAX_KEY_ID_BYTES = MAX_CIPHERTEXT_BYTES = 1024
MAX_ANNOTATIONS_BYTES = 32 * 1024
_MAX_MESSAGE_BYTES = 4 * MAX_ENVELOPE_BYTES
# What the kernel takes as the name of a socket.
_MAX_PATH_BYTES = 107
_DOMAIN_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
# Seconds before a plug-in that could not be reached is called again. One that is slow gets no second call.
_PAUSES = (0.1, 0.4)
_CALL_AGAIN = {grpc.StatusCode.UNAVAILABLE}
# The plug-in did not answer, or would answer otherwise a moment later.
_FOR_NOW = {
    *_CALL_AGAIN,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
# It will answer so always. Plug-ins in Go answer UNKNOWN for whatever went wrong, a KMS that is away too.
_FOR_GOOD = {
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
}


class KmsError(Exception):
    """A plug-in that did not do what it was asked; the message says what.

    `answered`: it was reached, and said so itself. `lasting`: it will not say anything else another time.
    """

    def __init__(self, message: str, *, answered: bool = True, lasting: bool = False) -> None:
        super().__init__(message)
        self.answered = answered
        self.lasting = lasting


class KmsPlugin:
    """A plug-in. Each call has a deadline, and a few attempts where the plug-in cannot be reached."""

    def __init__(
        self,
        socket: Path,
        timeout: float,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`timeout` is in seconds, for one attempt; `pause` waits so many between two.

        Raises ValueError where `socket` is too long to be one.
        """
        self.socket = socket
        self._timeout = timeout
        self._pause = pause
        path = socket.absolute()
        if len(bytes(path)) > _MAX_PATH_BYTES:
            raise ValueError(
                f"evidence.kms.socket: {path} is {len(bytes(path))} bytes long, and a socket's path can have "
                f"{_MAX_PATH_BYTES}: put it in a folder with a shorter name"
            )
        options: list[tuple[str, int | str]] = [
            # By default it would be the path, percent-encoded, which some servers take for no name of a host.
            ("grpc.default_authority", "localhost"),
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._channel = grpc.aio.insecure_channel(
            f"unix:{quote(str(path))}", options=options, interceptors=client_interceptors()
        )
        self._stub: KeyManagementServiceAsyncStub = KeyManagementServiceStub(self._channel)

    async def close(self) -> None:
        """Let go of the socket."""
        await self._channel.close()

    async def status(self) -> str:
        """The id of the key that it encrypts under now. Raises KmsError, also where it is unwell."""
        request = StatusRequest()
        answer = await self._called("Status", lambda: self._stub.Status(request, timeout=self._timeout))
        if answer.version != API_VERSION:
            words = f"speaks version {answer.version!r} of the API, and {API_VERSION} is needed"
            raise self.error(words, lasting=True)
        if answer.healthz != HEALTHY:
            raise self.error(f"says of its health {answer.healthz!r}")
        self._check_key_id("Status", answer.key_id)
        return answer.key_id

    async def wrap(self, secret: bytes, key_id: str) -> WrappedKey:
        """A key as the KMS encrypts it, under its key that Status has named, and decrypts it again.

        Raises KmsError, also where the plug-in may do one of the two alone.
        """
        wrapped = await self.encrypt(secret)
        if wrapped.key_id != key_id:
            raise self.error("Encrypt and Status name different keys, as in the middle of a rotation")
        if await self.decrypt(wrapped) != secret:
            raise self.error("Decrypt does not give back what Encrypt was given")
        return wrapped

    async def encrypt(self, secret: bytes) -> WrappedKey:
        """A key as the KMS encrypts it. Raises KmsError."""
        request = EncryptRequest(plaintext=secret, uid=str(uuid.uuid4()))
        answer = await self._called("Encrypt", lambda: self._stub.Encrypt(request, timeout=self._timeout))
        self._check_key_id("Encrypt", answer.key_id)
        self._check_size("Encrypt gave a ciphertext", len(answer.ciphertext), 1, MAX_CIPHERTEXT_BYTES)
        self._check_annotations(dict(answer.annotations))
        key = WrappedKey(ciphertext=answer.ciphertext, key_id=answer.key_id, annotations=answer.annotations)
        self._check_size("Encrypt gave, all in all, an answer", key.ByteSize(), 1, MAX_ENVELOPE_BYTES)
        return key

    async def decrypt(self, key: WrappedKey) -> bytes:
        """What `encrypt` was given. Raises KmsError."""
        request = DecryptRequest(
            ciphertext=key.ciphertext, key_id=key.key_id, annotations=key.annotations, uid=str(uuid.uuid4())
        )
        answer = await self._called("Decrypt", lambda: self._stub.Decrypt(request, timeout=self._timeout))
        return answer.plaintext

    async def _called(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        pauses = iter(_PAUSES)
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                seconds = next(pauses, None) if error.code() in _CALL_AGAIN else None
                if seconds is None:
                    raise self._failure(method, error) from error
            await self._pause(seconds)

    def _failure(self, method: str, error: grpc.aio.AioRpcError) -> KmsError:
        code = error.code()
        words = f"{method}: {code.name}, {error.details()}"
        if code is grpc.StatusCode.UNIMPLEMENTED:
            words = f"does not serve v2.KeyManagementService/{method}: take a plug-in for KMS v2"
        return self.error(words, answered=code not in _FOR_NOW, lasting=code in _FOR_GOOD)

    def _check_key_id(self, method: str, key_id: str) -> None:
        self._check_size(f"{method} gave a key_id", len(key_id.encode()), 1, MAX_KEY_ID_BYTES)

    def _check_annotations(self, annotations: dict[str, bytes]) -> None:
        size = sum(len(name.encode()) + len(value) for name, value in annotations.items())
        self._check_size("Encrypt gave annotations", size, 0, MAX_ANNOTATIONS_BYTES)
        for name in annotations:
            if not _DOMAIN_NAME.fullmatch(name):
                words = f"Encrypt gave an annotation {name!r}, which is no domain name, such as kms.example"
                raise self.error(words, lasting=True)

    def _check_size(self, what: str, size: int, least: int, most: int) -> None:
        if not least <= size <= most:
            raise self.error(f"{what} of {size} bytes; it can have {least} to {most}", lasting=True)

    def error(self, words: str, *, answered: bool = True, lasting: bool = False) -> KmsError:
        """Says whose fault it is."""
        return KmsError(f"the KMS plug-in at {self.socket}: {words}", answered=answered, lasting=lasting)
