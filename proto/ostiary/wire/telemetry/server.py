"""The server's interceptor: one span and one duration for each call, of all four kinds."""

from __future__ import annotations  # the runtime's classes are generic in their stubs alone

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import SpanKind, TracerProvider

from ostiary.wire.telemetry.rpc import (
    SCOPE,
    SERVER_FAULTS,
    duration_histogram,
    finish_span,
    method_attributes,
    outcome_attributes,
)

_OTHER = "_OTHER"
if TYPE_CHECKING:
    _Servicer = grpc.aio.ServicerContext[Any, Any]
    _RpcHandler = grpc.RpcMethodHandler[Any, Any]
    _Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[_RpcHandler | None]]


class ServerTelemetry(grpc.aio.ServerInterceptor):
    """Continues the caller's trace (W3C `traceparent`) and measures `rpc.server.call.duration`.

    Methods outside `methods` are counted together as `_OTHER`, so that strangers cannot make label values.
    """

    def __init__(
        self,
        methods: Collection[str],
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._methods = frozenset(methods)
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._duration = duration_histogram(metrics.get_meter(SCOPE, meter_provider=meter_provider), "server")

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> _RpcHandler | None:
        """Wraps the handler that the server found."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        parent = propagate.extract(_carrier(handler_call_details.invocation_metadata))
        return self._wrap(handler, method if method in self._methods else _OTHER, parent)

    def _wrap(self, handler: _RpcHandler, method: str, parent: Context) -> _RpcHandler:
        make, behaviour = _factory(handler)
        # Streaming handlers come as coroutines that write and as generators; the runtime treats each its way.
        if inspect.isasyncgenfunction(behaviour):

            async def generate(request: Any, context: _Servicer) -> AsyncIterator[Any]:
                with self._observe(method, parent, context):
                    async for response in behaviour(request, context):
                        yield response

            wrapped: Callable[..., Any] = generate
        else:

            async def respond(request: Any, context: _Servicer) -> Any:
                with self._observe(method, parent, context):
                    return await behaviour(request, context)

            wrapped = respond
        observed: _RpcHandler = make(
            wrapped,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return observed

    @contextmanager
    def _observe(self, method: str, parent: Context, context: _Servicer) -> Iterator[None]:
        attributes = method_attributes(method)
        started = time.perf_counter()
        code = grpc.StatusCode.OK
        with self._tracer.start_as_current_span(
            attributes["rpc.method"],
            context=parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
                code = _code(context) or grpc.StatusCode.OK
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except BaseException:
                code = _code(context) or grpc.StatusCode.UNKNOWN
                raise
            finally:
                finish_span(span, code, failed=code in SERVER_FAULTS)
                elapsed = time.perf_counter() - started
                self._duration.record(elapsed, {**attributes, **outcome_attributes(code)})


def _carrier(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}


def _code(context: _Servicer) -> grpc.StatusCode | None:
    """What the handler set, if it did: the runtime gives a number where the stubs promise an enum."""
    code: Any = context.code()
    if isinstance(code, grpc.StatusCode):
        return code
    return next((known for known in grpc.StatusCode if code and known.value[0] == code), None)


def _factory(handler: _RpcHandler) -> tuple[Callable[..., Any], Callable[..., Any]]:
    match handler.request_streaming, handler.response_streaming:
        case False, False:
            return grpc.unary_unary_rpc_method_handler, handler.unary_unary  # type: ignore[return-value]
        case False, True:
            return grpc.unary_stream_rpc_method_handler, handler.unary_stream  # type: ignore[return-value]
        case True, False:
            return grpc.stream_unary_rpc_method_handler, handler.stream_unary  # type: ignore[return-value]
        case _:
            return grpc.stream_stream_rpc_method_handler, handler.stream_stream  # type: ignore[return-value]
