"""Traces and durations of all four kinds of call, through real channels and servers."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from ostiary.wire.telemetry import ServerTelemetry, client_interceptors, trace_id
from wire.kit import ECHO, METHODS, method

KINDS = {
    "Unary": (False, False),
    "Expand": (False, True),
    "Collect": (True, False),
    "Chat": (True, True),
}


@dataclass(frozen=True)
class Recorded:
    """What one test's spans and metrics were."""

    spans: InMemorySpanExporter
    metrics: InMemoryMetricReader
    tracer_provider: TracerProvider
    meter_provider: MeterProvider

    def finished(self) -> dict[SpanKind, ReadableSpan]:
        """The one span of each kind."""
        spans = self.spans.get_finished_spans()
        assert len(spans) == len({span.kind for span in spans})
        return {span.kind: span for span in spans}

    def durations(self) -> dict[str, list[Mapping[str, Any]]]:
        """Attributes of each data point, by metric."""
        data = self.metrics.get_metrics_data()
        assert data is not None
        return {
            metric.name: [dict(point.attributes or {}) for point in metric.data.data_points]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Providers that keep everything in memory."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    meter_provider = MeterProvider([reader])
    yield Recorded(spans, reader, tracer_provider, meter_provider)
    tracer_provider.shutdown()
    meter_provider.shutdown()


class Echo:
    """Plain handlers of the runtime, streams as generators or as coroutines that write."""

    def __init__(self, *, generators: bool, fail: bool = False) -> None:
        self.generators, self.fail = generators, fail
        self.trace_ids: list[str] = []

    async def respond(self, request: Any, context: Any) -> StringValue:
        await self._enter(request, context)
        return StringValue(value="done")

    async def generate(self, request: Any, context: Any) -> AsyncIterator[StringValue]:
        await self._enter(request, context)
        yield StringValue(value="done")

    async def write(self, request: Any, context: Any) -> None:
        await self._enter(request, context)
        await context.write(StringValue(value="done"))

    async def _enter(self, request: Any, context: Any) -> None:
        self.trace_ids.append(trace_id())
        if not isinstance(request, StringValue):
            async for _ in request:
                pass
        if self.fail:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no")

    def handlers(self) -> dict[str, Any]:
        """Runtime handlers by method name."""
        made = {}
        for name, (client_streaming, server_streaming) in KINDS.items():
            words = tuple("stream" if each else "unary" for each in (client_streaming, server_streaming))
            make = getattr(grpc, f"{words[0]}_{words[1]}_rpc_method_handler")
            stream = self.generate if self.generators else self.write
            made[name] = make(
                stream if server_streaming else self.respond,
                StringValue.FromString,
                StringValue.SerializeToString,
            )
        return made


@asynccontextmanager
async def connected(recorded: Recorded, echo: Echo) -> AsyncIterator[grpc.aio.Channel]:
    """A channel with the client's interceptors to a server with the server's."""
    providers = (recorded.tracer_provider, recorded.meter_provider)
    server = grpc.aio.server(interceptors=[ServerTelemetry(METHODS, *providers)])
    handler = grpc.method_handlers_generic_handler(ECHO.full_name, echo.handlers())
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{port}", interceptors=client_interceptors(*providers)
    ) as channel:
        yield channel
    await server.stop(None)


async def invoke(channel: grpc.aio.Channel, name: str) -> None:
    """One call of its kind, to its end."""
    client_streaming, server_streaming = KINDS[name]
    message = StringValue(value="a")
    call = method(channel, name)(iter([message]) if client_streaming else message)
    if server_streaming:
        assert [response.value async for response in call] == ["done"]
    else:
        assert (await call).value == "done"


@pytest.mark.parametrize("generators", [True, False], ids=["generators", "writers"])
@pytest.mark.parametrize("name", KINDS)
async def test_one_trace_across_the_wire(recorded: Recorded, name: str, generators: bool) -> None:
    """Client and server spans of a call are parent and child, and the handler sees their trace."""
    echo = Echo(generators=generators)
    async with connected(recorded, echo) as channel:
        await invoke(channel, name)
    spans = recorded.finished()
    client, server = spans[SpanKind.CLIENT], spans[SpanKind.SERVER]
    assert server.parent is not None
    assert client.context is not None
    assert server.parent.span_id == client.context.span_id
    assert echo.trace_ids == [f"{client.context.trace_id:032x}"]
    expected = {
        "rpc.system.name": "grpc",
        "rpc.method": f"wire.kit.Echo/{name}",
        "rpc.response.status_code": "OK",
    }
    assert dict(client.attributes or {}) == dict(server.attributes or {}) == expected
    assert recorded.durations() == {
        "rpc.client.call.duration": [expected],
        "rpc.server.call.duration": [expected],
    }


@pytest.mark.parametrize("name", KINDS)
async def test_failure_is_counted(recorded: Recorded, name: str) -> None:
    """A failed call has its status as error.type on both sides, and both spans are errors."""
    async with connected(recorded, Echo(generators=True, fail=True)) as channel:
        with pytest.raises(grpc.RpcError):
            await invoke(channel, name)
    for span in recorded.finished().values():
        assert span.status.status_code is StatusCode.ERROR
    for points in recorded.durations().values():
        assert [(p["rpc.response.status_code"], p["error.type"]) for p in points] == [("UNAVAILABLE",) * 2]


async def test_caller_s_fault_is_no_error_of_the_server(recorded: Recorded) -> None:
    """NOT_FOUND is an error to the client and an ordinary answer to the server."""

    class Missing(Echo):
        async def _enter(self, request: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no")

    async with connected(recorded, Missing(generators=True)) as channel:
        with pytest.raises(grpc.RpcError):
            await invoke(channel, "Unary")
    spans = recorded.finished()
    assert spans[SpanKind.CLIENT].status.status_code is StatusCode.ERROR
    assert spans[SpanKind.SERVER].status.status_code is StatusCode.UNSET


async def test_cancelled_call_is_counted(recorded: Recorded) -> None:
    """A caller that goes away ends both spans as CANCELLED."""
    started = asyncio.Event()

    class Hanging(Echo):
        async def _enter(self, request: Any, context: Any) -> None:
            started.set()
            await asyncio.Event().wait()

    async with connected(recorded, Hanging(generators=True)) as channel:
        call = method(channel, "Unary")(StringValue())
        waiting = asyncio.ensure_future(_wait(call))
        await asyncio.wait_for(started.wait(), 5)
        call.cancel()
        await waiting
    for points in recorded.durations().values():
        assert [point["rpc.response.status_code"] for point in points] == ["CANCELLED"]


async def _wait(call: Any) -> None:
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_strangers_make_no_label_values(recorded: Recorded) -> None:
    """A method that is not the server's own is counted as _OTHER, whatever it is called."""

    class Anything(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            return Echo(generators=True).handlers()["Unary"]

    server = grpc.aio.server(
        handlers=[Anything()],
        interceptors=[ServerTelemetry(METHODS, recorded.tracer_provider, recorded.meter_provider)],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in ("/a/b", "/c/d"):
            await channel.unary_unary(name)(b"")
    await server.stop(None)
    points = recorded.durations()["rpc.server.call.duration"]
    assert [point["rpc.method"] for point in points] == ["_OTHER"]


def test_no_trace_no_id() -> None:
    """Outside any trace there is no id to log."""
    assert trace_id() == ""
