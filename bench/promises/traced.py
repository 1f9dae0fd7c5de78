"""Promise 16: traceable."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.promises import caller
from bench.promises.contract import Outcome, Promise
from bench.promises.estate import Estate
from ostiary_gateway.store.history import History, Period

FULL_COUNT = 10_000
_CHECKS_A_SECOND = 40  # of which the machine is capable whatever else it does
_CHECK, _INFER = "ostiary.v1.ModerationService/Check", "ostiary.v1.InferenceService/Infer"


@dataclass(frozen=True)
class Seen:
    """A span, as it came to the collector."""

    service: str
    name: str
    kind: int
    trace: str
    span: str
    parent: str
    check_id: str


class Collector:
    """An OTLP collector that keeps spans."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name for it
        """Takes spans."""
        for resource in request.resource_spans:
            service = _text(resource.resource.attributes, "service.name")
            for scope in resource.scope_spans:
                self.spans += [_seen(service, span) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


def _text(attributes: Iterable[Any], key: str) -> str:
    return next((str(each.value.string_value) for each in attributes if each.key == key), "")


def _seen(service: str, span: Any) -> Seen:
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    return Seen(service, span.name, span.kind, *ids, _text(span.attributes, "ostiary.check_id"))


class Metrics:
    """Where the processes' metrics go, which are not what is looked at here."""

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name for it
        """Takes metrics."""
        return metrics_service_pb2.ExportMetricsServiceResponse()


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    """A collector on 127.0.0.1, and its URL."""
    collector, server = Collector(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
        collector, server
    )
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(  # type: ignore[no-untyped-call]
        Metrics(), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(None)


def complete(check_id: str, traces: dict[str, str], spans: dict[str, list[Seen]]) -> bool:
    """Whether caller, gateway and pod hang together in the trace that the record names for a check."""
    trace = spans.get(traces.get(check_id, ""), [])

    def one(service: str, name: str, kind: int) -> Seen | None:
        found = [span for span in trace if (span.service, span.name, span.kind) == (service, name, kind)]
        return found[0] if len(found) == 1 else None

    client, server = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER
    called, answered = one(caller.SERVICE, _CHECK, client), one("ostiary-gateway", _CHECK, server)
    asked, looked = one("ostiary-gateway", _INFER, client), one("ostiary-pod", _INFER, server)
    if called is None or answered is None or asked is None or looked is None:
        return False
    return (
        answered.parent == called.span
        and asked.parent == answered.span
        and looked.parent == asked.span
        and check_id == answered.check_id == looked.check_id
    )


async def follow(folder: Path, count: int, seconds: float) -> tuple[int, int]:
    """Verdicts that a caller heard, and those of them whose chain is complete."""
    async with collecting() as (collector, url):
        estate = Estate(folder, collector=url)
        try:
            await estate.start()
            heard = await caller.called(estate, count, url, seconds)
        finally:
            # Each sends its last spans when it is told to stop.
            await asyncio.to_thread(estate.stop)
        spans: dict[str, list[Seen]] = {}
        for span in collector.spans:
            spans.setdefault(span.trace, []).append(span)
        records = History(estate.home / "ostiary.db", Period()).records()
        traces = {record.check_id: record.trace_id for record in records}
        return len(heard), sum(complete(check_id, traces, spans) for check_id in heard)


def run(seconds: float) -> Outcome:
    """Check through real processes, and look for what each left behind."""
    count = min(FULL_COUNT, max(20, round(seconds * 0.5 * _CHECKS_A_SECOND)))
    with tempfile.TemporaryDirectory() as name:
        heard, whole = asyncio.run(follow(Path(name), count, max(seconds * 0.6, 20.0)))
    share = 100 * whole / heard if heard else 0.0
    what = "% of verdicts with one trace from caller through gateway to pod, named in their record"
    return Outcome(heard, FULL_COUNT, share, 100.0, what, heard > 0 and whole == heard)


PROMISE = Promise(16, "Traceable", run)
