"""Telemetry reaches a collector over OTLP, from a process of its own."""

import asyncio
import sys
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_messages

from ostiary.wire.telemetry import setup

PROGRAM = """
import sys
from opentelemetry import metrics, trace
from ostiary.wire.telemetry import setup
telemetry = setup("svc", sys.argv[1])
with trace.get_tracer("t").start_as_current_span("a span"):
    metrics.get_meter("t").create_counter("a.counter").add(1)
telemetry.shutdown()
"""


class Collector:
    """A collector that keeps the names of what it gets."""

    def __init__(self) -> None:
        self.services: set[str] = set()
        self.names: set[str] = set()

    async def traces(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            self._keep_service(resource.resource)
            self.names |= {span.name for scope in resource.scope_spans for span in scope.spans}
        return trace_messages.ExportTraceServiceResponse()

    async def metrics(self, request: Any, context: Any) -> Any:
        for resource in request.resource_metrics:
            self._keep_service(resource.resource)
            self.names |= {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
        return metrics_messages.ExportMetricsServiceResponse()

    def _keep_service(self, resource: Any) -> None:
        self.services |= {a.value.string_value for a in resource.attributes if a.key == "service.name"}

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Both services of OTLP."""
        prefix = "opentelemetry.proto.collector"
        return [
            grpc.method_handlers_generic_handler(
                f"{prefix}.{service}",
                {"Export": grpc.unary_unary_rpc_method_handler(export, message.FromString, _serialise)},
            )
            for service, export, message in (
                ("trace.v1.TraceService", self.traces, trace_messages.ExportTraceServiceRequest),
                ("metrics.v1.MetricsService", self.metrics, metrics_messages.ExportMetricsServiceRequest),
            )
        ]


def _serialise(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


async def test_spans_and_metrics_reach_the_collector() -> None:
    """What a process records is at the collector once it has shut down, under the service's name."""
    collector = Collector()
    server = grpc.aio.server(handlers=collector.handlers())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, f"http://127.0.0.1:{port}", stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    await server.stop(None)
    assert process.returncode == 0, errors
    assert collector.services == {"svc"}
    assert {"a span", "a.counter"} <= collector.names


def test_endpoint_must_be_a_url() -> None:
    """An endpoint without a scheme is refused: it would be taken for TLS and fail without a word."""
    with pytest.raises(ValueError, match="must begin with http"):
        setup("svc", "127.0.0.1:4317")
