"""What all resources are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

WHOLE = 10_000
"""All traffic, in basis points."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""A DNS label (RFC 1123)."""
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
BasisPoints = Annotated[int, Field(ge=0, le=WHOLE)]
Seconds = Annotated[float, Field(ge=0.0, le=30 * 86_400.0)]


def _seconds(value: Any) -> Any:
    """From RFC 3339, as Kubernetes writes times. Raises ValueError for other text."""
    return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else value


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Time = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(_rfc3339, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""Seconds since 1970; in JSON and YAML as Kubernetes writes times, to the microsecond."""


class Part(BaseModel):
    """A part of a resource: unknown fields are refused, names are camelCase on the wire."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )
