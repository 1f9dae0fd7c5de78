"""What client and server spans and durations of gRPC calls have in common."""

import grpc
from opentelemetry.metrics import Histogram, Meter
from opentelemetry.trace import Span, Status, StatusCode

from ostiary.wire.telemetry.buckets import SECONDS

SCOPE = "ostiary.wire"

# Of the codes that a server answers, those that are its own fault.
SERVER_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)

Attributes = dict[str, str]


def method_attributes(method: str) -> Attributes:
    """The attributes of a call to `/package.Service/Method` or `_OTHER`, before its outcome is known."""
    return {"rpc.system.name": "grpc", "rpc.method": method.removeprefix("/")}


def outcome_attributes(code: grpc.StatusCode) -> Attributes:
    """The attributes that a call's status adds."""
    attributes = {"rpc.response.status_code": code.name}
    if code is not grpc.StatusCode.OK:
        attributes["error.type"] = code.name
    return attributes


def finish_span(span: Span, code: grpc.StatusCode, *, failed: bool) -> None:
    """Writes the outcome into the span; `failed` says whether it is this side's failure."""
    span.set_attributes(outcome_attributes(code))
    if failed:
        span.set_status(Status(StatusCode.ERROR, code.name))


def duration_histogram(meter: Meter, side: str) -> Histogram:
    """`rpc.server.call.duration` or `rpc.client.call.duration`, in seconds."""
    return meter.create_histogram(
        f"rpc.{side}.call.duration",
        unit="s",
        description=f"Duration of gRPC calls, as the {side} sees it",
        explicit_bucket_boundaries_advisory=SECONDS,
    )
