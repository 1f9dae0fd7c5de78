"""The client for code without asyncio."""

import asyncio
import threading
from collections.abc import Collection, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from ostiary.client.aio import AsyncClient
from ostiary.client.profile import Profile
from ostiary.client.request import ImageInput, ListingFields, Want
from ostiary.client.result import CheckResult
from ostiary.client.retry import RetryPolicy
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.errors import OstiaryError, Reason

Answer = TypeVar("Answer")


class Client:
    """Checks images through a gateway; safe to share between threads.

        with Client.from_profile(".ostiary/pipeline") as client:
            result = client.check("cup.jpg", title="Espresso cup")

    It is an `AsyncClient` on an event loop in a thread of its own, with the same methods and errors. Make it
    after a fork, not before: threads do not survive one.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        ca: str | Path,
        cert: str | Path,
        key: str | Path,
        server_name: str | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        """`endpoint` is `host:port`; `ca`, `cert` and `key` are PEM files; nothing is opened yet."""
        self._client = AsyncClient(endpoint, ca=ca, cert=cert, key=key, server_name=server_name, retry=retry)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ostiary-client", daemon=True)
        self._thread.start()

    @classmethod
    def from_profile(cls, path: str | Path, *, retry: RetryPolicy | None = None) -> Self:
        """A client for the profile file, or the folder that holds a `profile.yaml`."""
        profile = Profile.load(path)
        return cls(
            profile.endpoint,
            ca=profile.ca,
            cert=profile.cert,
            key=profile.key,
            server_name=profile.server_name,
            retry=retry,
        )

    def check(
        self,
        images: ImageInput | Sequence[ImageInput],
        *,
        wants: Collection[Want] | None = None,
        idempotency_key: str | None = None,
        timeout: float = 30.0,
        **listing: Unpack[ListingFields],
    ) -> CheckResult:
        """As `AsyncClient.check`."""
        return self._wait(
            self._client.check(
                images, wants=wants, idempotency_key=idempotency_key, timeout=timeout, **listing
            )
        )

    def check_request(self, request: CheckRequest, *, timeout: float = 30.0) -> CheckResult:
        """As `AsyncClient.check_request`."""
        return self._wait(self._client.check_request(request, timeout=timeout))

    def canonical_image(self, check: CheckResult | str, index: int = 0, *, timeout: float = 30.0) -> bytes:
        """As `AsyncClient.canonical_image`."""
        return self._wait(self._client.canonical_image(check, index, timeout=timeout))

    def close(self) -> None:
        """Closes the connection; calls under way fail. A second call does nothing."""
        if self._loop.is_closed():
            return
        self._wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        if self._loop.is_closed():
            work.close()
            raise OstiaryError(Reason.FAILED_PRECONDITION, "the client is closed: make a new one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C in this thread must not leave the call running in the other.
            future.cancel()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
