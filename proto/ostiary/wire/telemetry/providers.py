"""Installs the process's tracer and meter providers, and reads the current trace."""

from dataclasses import dataclass

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


@dataclass(frozen=True)
class Telemetry:
    """The providers of a process."""

    tracer_provider: TracerProvider
    meter_provider: MeterProvider

    def shutdown(self) -> None:
        """Sends what is left to the collector; takes a few seconds where none answers."""
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()


def setup(service_name: str, otlp_endpoint: str | None = None) -> Telemetry:
    """Makes this process's traces and metrics real; call once, before servers and channels are made.

    `otlp_endpoint` is the URL of a collector that speaks OTLP over gRPC (`http://host:4317`; `https://` for
    TLS). Without one nothing is exported, but trace ids still exist and travel. Raises ValueError for any
    other URL.
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

        tracer_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint)))
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=otlp_endpoint)))
    meter_provider = MeterProvider(metric_readers=readers, resource=resource)
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(meter_provider)
    return Telemetry(tracer_provider, meter_provider)


def trace_id() -> str:
    """The current trace's id as 32 hex digits; empty outside any trace."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""
