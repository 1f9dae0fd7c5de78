"""The client's interceptors: one span and one duration for each call, of all four kinds."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from opentelemetry import metrics, propagate, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, TracerProvider

from ostiary.wire.telemetry.rpc import (
    SCOPE,
    Attributes,
    duration_histogram,
    finish_span,
    method_attributes,
    outcome_attributes,
)

_Details = grpc.aio.ClientCallDetails
_Continuation = Callable[[_Details, Any], Awaitable[Any]]


class _Observer:
    """Starts a span for a call and ends it with the call."""

    def __init__(self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._duration = duration_histogram(metrics.get_meter(SCOPE, meter_provider=meter_provider), "client")

    async def observe(self, continuation: _Continuation, details: _Details, request: Any) -> Any:
        """Sends the call on with `traceparent` in its metadata."""
        method = details.method.decode() if isinstance(details.method, bytes) else details.method
        attributes = method_attributes(method)
        span = self._tracer.start_span(attributes["rpc.method"], kind=SpanKind.CLIENT, attributes=attributes)
        started = time.perf_counter()
        call = await continuation(_with_traceparent(details, span), request)
        call.add_done_callback(lambda done: self._finish(span, attributes, started, _code_of(done)))
        return call

    def _finish(self, span: Span, attributes: Attributes, started: float, code: grpc.StatusCode) -> None:
        finish_span(span, code, failed=code is not grpc.StatusCode.OK)
        span.end()
        elapsed = time.perf_counter() - started
        self._duration.record(elapsed, {**attributes, **outcome_attributes(code)})


def _with_traceparent(details: _Details, span: Span) -> _Details:
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context=trace.set_span_in_context(span))
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    for key, value in carrier.items():
        metadata[key] = value
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


def _code_of(call: Any) -> grpc.StatusCode:
    """The status of a call that is done.

    `code()` is a coroutine, and a callback cannot await; on a finished call it returns without suspending.
    """
    coroutine = call.code()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        code: grpc.StatusCode = stop.value
        return code
    coroutine.close()
    return grpc.StatusCode.UNKNOWN


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, observer: _Observer) -> None:
        self._observer = observer

    async def intercept_unary_unary(
        self, continuation: _Continuation, client_call_details: _Details, request: Any
    ) -> Any:
        return await self._observer.observe(continuation, client_call_details, request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, observer: _Observer) -> None:
        self._observer = observer

    async def intercept_unary_stream(
        self, continuation: _Continuation, client_call_details: _Details, request: Any
    ) -> Any:
        return await self._observer.observe(continuation, client_call_details, request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    def __init__(self, observer: _Observer) -> None:
        self._observer = observer

    async def intercept_stream_unary(
        self, continuation: _Continuation, client_call_details: _Details, request_iterator: Any
    ) -> Any:
        return await self._observer.observe(continuation, client_call_details, request_iterator)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    def __init__(self, observer: _Observer) -> None:
        self._observer = observer

    async def intercept_stream_stream(
        self, continuation: _Continuation, client_call_details: _Details, request_iterator: Any
    ) -> Any:
        return await self._observer.observe(continuation, client_call_details, request_iterator)


def client_interceptors(
    tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> Sequence[grpc.aio.ClientInterceptor]:
    """Interceptors for a channel: they send `traceparent` on and measure `rpc.client.call.duration`.

    One class per kind of call: the runtime files an interceptor under the first kind that it implements.
    """
    observer = _Observer(tracer_provider, meter_provider)
    return (_UnaryUnary(observer), _UnaryStream(observer), _StreamUnary(observer), _StreamStream(observer))
