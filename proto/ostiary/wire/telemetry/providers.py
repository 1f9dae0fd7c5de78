"""Installs the process's tracer and meter providers, and reads the current trace."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


# Spans wait for at most a second, and so many of them: at the defaults (five seconds, two thousand) a gateway
# of a few hundred checks a second would drop some, and with them the traces of verdicts.
_SPANS_WAITING = 32_768
_EXPORT_EVERY_MS = 1_000


@dataclass(frozen=True)
class Telemetry:
    """The providers of a process."""

    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    registry: "CollectorRegistry | None" = None
    """What Prometheus is shown; None: nobody scrapes this process."""

    def shutdown(self) -> None:
        """Sends what is left to the collector; takes a few seconds where none answers."""
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()


def setup(service_name: str, otlp_endpoint: str | None = None, *, scraped: bool = False) -> Telemetry:
    """Makes this process's traces and metrics real; call once, before servers and channels are made.

    `otlp_endpoint` is the URL of a collector that speaks OTLP over gRPC (`http://host:4317`; `https://` for
    TLS). Without one nothing is exported, but trace ids still exist and travel. `scraped`: keep a registry
    for Prometheus. Raises ValueError for any other URL.
    """
    if otlp_endpoint and not otlp_endpoint.startswith(("http://", "https://")):
        raise ValueError(f"otlp_endpoint {otlp_endpoint!r} must begin with http:// or https://")
    resource = Resource.create({"service.name": service_name})
    tracer_provider = TracerProvider(resource=resource)
    readers: list[MetricReader] = []
    if otlp_endpoint:
        # Loaded only when it is used: it costs a tenth of a second.
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        tracer_provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint=otlp_endpoint),
                max_queue_size=_SPANS_WAITING,
                schedule_delay_millis=_EXPORT_EVERY_MS,
            )
        )
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=otlp_endpoint)))
    registry = None
    if scraped:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry

        registry = CollectorRegistry()
        readers.append(PrometheusMetricReader(registry=registry))
    meter_provider = MeterProvider(metric_readers=readers, resource=resource)
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(meter_provider)
    return Telemetry(tracer_provider, meter_provider, registry)


def name_check(check_id: str) -> None:
    """Writes a check's id into the current span, and into every line that this task logs from now on.

    The record holds the trace's id beside the check's: from either, all three are found.
    """
    trace.get_current_span().set_attribute("ostiary.check_id", check_id)
    structlog.contextvars.bind_contextvars(check_id=check_id)


def trace_id() -> str:
    """The current trace's id as 32 hex digits; empty outside any trace."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""
