"""One call through the server: authenticate, authorise, read, parse, handle, answer.

Every method is registered as a stream of raw bytes, whatever its kind: the runtime then reads nothing of a
request before the handler asks, so a refused caller's body is neither buffered nor parsed.
"""

from __future__ import annotations  # the runtime's classes are generic in their stubs alone

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from ostiary.wire.authorization import Authorizer
from ostiary.wire.call import Body, Call, Handler
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.deadline import trim
from ostiary.wire.errors import STATUS_DETAILS_KEY, OstiaryError, Reason, invalid_field, to_status
from ostiary.wire.telemetry import trace_id

T = TypeVar("T")
if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[bytes, bytes]
    RpcHandler = grpc.RpcMethodHandler[Any, Any]

_REFUSALS = frozenset({Reason.UNAUTHENTICATED, Reason.PERMISSION_DENIED})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Method:
    """One method of a registered service."""

    path: str
    """`/package.Service/Method`"""
    request_type: type[Message] | None
    """None: the handler takes bytes."""
    unread: bool
    """The handler takes a Body."""
    client_streaming: bool
    server_streaming: bool
    handler: Handler | None
    """None: answers UNIMPLEMENTED, once authorised."""


class Dispatcher:
    """Runs calls against one authoriser and one source of credentials."""

    def __init__(
        self,
        credentials: CredentialSource,
        authorizer: Authorizer,
        deadline_margin: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._authorizer = authorizer
        self._margin = deadline_margin
        self._clock = clock

    def rpc_handler(self, method: Method) -> RpcHandler:
        """The runtime's handler for a registered method."""

        async def unary(_: object, context: Context) -> bytes:
            async def work(call: Call) -> bytes:
                handler = cast(Callable[..., Awaitable[Any]], _implemented(method))
                return _serialise(await handler(await _request(method, context), call))

            return await self._answer(method.path, context, work)

        async def stream(_: object, context: Context) -> None:
            async def work(call: Call) -> None:
                handler = cast(Callable[..., AsyncGenerator[Any, None]], _implemented(method))
                async with aclosing(handler(await _request(method, context), call)) as responses:
                    async for response in responses:
                        await context.write(_serialise(response))

            await self._answer(method.path, context, work)

        if method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.stream_unary_rpc_method_handler(unary)

    def unknown_handler(self, path: str) -> RpcHandler:
        """The runtime's handler for a method of no registered service: it tells strangers nothing."""

        async def refuse(_: object, context: Context) -> bytes:
            try:
                self._credentials.peer(context.auth_context())
            except OstiaryError as error:
                await _abort(context, error)
            unknown = f"This server has no method {path}: check the address, and that both ends are as new"
            await _abort(context, OstiaryError(Reason.UNIMPLEMENTED, unknown))

        return grpc.stream_unary_rpc_method_handler(refuse)

    async def _answer(self, path: str, context: Context, work: Callable[[Call], Awaitable[T]]) -> T:
        limit = asyncio.timeout(None)
        try:
            call = self._admit(path, context)
            async with asyncio.timeout(call.remaining()) as limit:
                return await work(call)
        except OstiaryError as error:
            if error.reason in _REFUSALS:
                _log.warning("rpc.refused", method=path, address=context.peer(), error=error.message)
            await _abort(context, error)
        except TimeoutError as error:
            await _abort(context, _expired() if limit.expired() else _internal(path, error))
        except grpc.aio.BaseError:
            # The call is already over for the runtime: nobody is left to be told.
            raise
        except Exception as error:
            await _abort(context, _internal(path, error))

    def _admit(self, path: str, context: Context) -> Call:
        peer = self._credentials.peer(context.auth_context())
        metadata = _textual(context.invocation_metadata() or ())
        principal = self._authorizer.authorize(peer, path, metadata)
        remaining = trim(context.time_remaining(), self._margin)
        if remaining is not None and remaining <= 0:
            raise _expired()
        deadline = None if remaining is None else self._clock() + remaining
        return Call(path, peer, principal, metadata, deadline, self._clock)


def _textual(pairs: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Metadata without what is binary; values of a repeated key are joined, so that none hides another."""
    joined: dict[str, str] = {}
    for key, value in pairs:
        if isinstance(value, str):
            joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined


def _implemented(method: Method) -> Handler:
    if method.handler is None:
        raise OstiaryError(Reason.UNIMPLEMENTED, f"This server does not implement {method.path} yet")
    return method.handler


async def _request(method: Method, context: Context) -> Any:
    """What the handler gets: one request, or an iterator over them."""
    if method.client_streaming:
        return _requests(method, context)
    if method.unread:
        return Body(lambda: _single(method, context))
    return await _single(method, context)


async def _single(method: Method, context: Context) -> Any:
    async for request in _requests(method, context):
        return request
    raise OstiaryError(Reason.MISSING_FIELD, f"The call carried no message: {method.path} takes exactly one")


async def _requests(method: Method, context: Context) -> AsyncIterator[Any]:
    while not isinstance(data := await context.read(), type(grpc.aio.EOF)):
        yield _parse(method.request_type, data)


def _parse(request_type: type[Message] | None, data: bytes) -> Message | bytes:
    if request_type is None:
        return data
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        name = request_type.DESCRIPTOR.full_name
        raise invalid_field("request", f"the message is not a well-formed {name}: send one") from error


def _serialise(response: Message | bytes) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _expired() -> OstiaryError:
    return OstiaryError(
        Reason.DEADLINE_EXPIRED, "The deadline passed before the answer was ready: allow more time"
    )


def _internal(path: str, error: Exception) -> OstiaryError:
    _log.error("rpc.failed", method=path, exc_info=error)
    # What went wrong stays in the log: it may hold a listing, a path or a secret.
    found_under = {"trace_id": trace_id()} if trace_id() else {}
    return OstiaryError(Reason.INTERNAL, "The server failed; its log has the details", metadata=found_under)


async def _abort(context: Context, error: OstiaryError) -> NoReturn:
    status = to_status(error)
    trailers = ((STATUS_DETAILS_KEY, status.SerializeToString()),)
    try:
        await context.abort(error.code, status.message, trailers)
    except grpc.aio.AbortError as aborted:
        # The runtime keeps what it raises with the call, and the traceback keeps the call: until a garbage
        # collection, each refused call would hold its request. This is run when the call has ended.
        asyncio.get_running_loop().call_soon(_untie, aborted)
        raise


def _untie(raised: BaseException) -> None:
    raised.__traceback__ = raised.__context__ = None
