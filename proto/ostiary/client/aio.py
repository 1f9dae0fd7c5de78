"""The asyncio client."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from ostiary.client import calls
from ostiary.client.attempts import attempts
from ostiary.client.connection import Connection
from ostiary.client.profile import Profile
from ostiary.client.request import ImageInput, ListingFields, Want, build_request
from ostiary.client.result import CheckResult
from ostiary.client.retry import RetryPolicy
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.errors import OstiaryError, Reason

if TYPE_CHECKING:
    from ostiary.v1.moderation_pb2_grpc import ModerationServiceAsyncStub

Answer = TypeVar("Answer")


class AsyncClient:
    """Checks images through a gateway. One client serves any number of concurrent checks of one event loop.

        async with AsyncClient.from_profile(".ostiary/pipeline") as client:
            result = await client.check("cup.jpg", title="Espresso cup")

    Every error is an `OstiaryError`. Certificates are re-read when their files change.
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
        self._connection = Connection(
            Profile(endpoint=endpoint, ca=Path(ca), cert=Path(cert), key=Path(key), server_name=server_name)
        )
        self._retry = retry or RetryPolicy()

    @classmethod
    def of(cls, profile: Profile, *, retry: RetryPolicy | None = None) -> Self:
        """A client for a profile that is loaded already."""
        return cls(
            profile.endpoint,
            ca=profile.ca,
            cert=profile.cert,
            key=profile.key,
            server_name=profile.server_name,
            retry=retry,
        )

    @classmethod
    def from_profile(cls, path: str | Path, *, retry: RetryPolicy | None = None) -> Self:
        """A client for the profile file, or the folder that holds a `profile.yaml`."""
        return cls.of(Profile.load(path), retry=retry)

    async def check(
        self,
        images: ImageInput | Sequence[ImageInput],
        *,
        wants: Collection[Want] | None = None,
        idempotency_key: str | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - the wire's deadline, over all attempts
        **listing: Unpack[ListingFields],
    ) -> CheckResult:
        """Checks one listing with one to eight images, given as encoded bytes or paths.

        `listing` holds what is known of it: title, description, category, seller, claimed_brand, territory,
        language, listing_id. `wants` narrows the answer to some of flags, description and attributes.
        A random idempotency key makes retries safe; pass your own to make them safe across processes, or ""
        for none. `timeout` is in seconds over all attempts.

        Raises:
            OstiaryError: the check was refused or could not be made. An image that cannot be judged is no
                error: the verdict is then HOLD.
        """
        return await self.check_request(
            build_request(images, listing, wants, idempotency_key), timeout=timeout
        )

    async def check_request(
        self,
        request: CheckRequest,
        *,
        timeout: float = 30.0,  # noqa: ASYNC109 - the wire's deadline, over all attempts
    ) -> CheckResult:
        """Checks a request that the caller has built; without an idempotency key it is tried once only."""
        retry = self._retry if request.idempotency_key else RetryPolicy(attempts=1)
        response = await self._attempts(retry, timeout, lambda stub, left: calls.check(stub, request, left))
        try:
            return CheckResult.from_proto(response)
        except ValueError as error:
            words = f"the gateway's answer needs a newer client: {error}"
            raise OstiaryError(Reason.INTERNAL, words) from error

    async def canonical_image(
        self,
        check: CheckResult | str,
        index: int = 0,
        *,
        timeout: float = 30.0,  # noqa: ASYNC109 - as above
    ) -> bytes:
        """The canonical bytes of one image of a check (its result, or its id): publish those and no others.

        The bytes are verified against their SHA-256, and against the result's where a result is given.

        Raises:
            OstiaryError: no such image, or its bytes are not the ones that were judged.
        """
        check_id = check if isinstance(check, str) else check.check_id
        image, data = await self._attempts(
            self._retry, timeout, lambda stub, left: calls.canonical_image(stub, check_id, index, left)
        )
        if isinstance(check, CheckResult):
            judged = [each.sha256 for each in check.images if each.image_index == index]
            if judged != [image.sha256]:
                words = f"image {index} of check {check_id} is not the one that was judged"
                raise OstiaryError(Reason.INTERNAL, words)
        return data

    async def _attempts(
        self,
        retry: RetryPolicy,
        seconds: float,
        attempt: Callable[["ModerationServiceAsyncStub", float], Awaitable[Answer]],
    ) -> Answer:
        return await attempts(retry, seconds, lambda left: attempt(self._connection.stub(), left))

    async def close(self) -> None:
        """Closes the connection; calls under way fail."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
