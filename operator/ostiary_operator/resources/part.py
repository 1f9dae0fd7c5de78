"""What all resources are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

WHOLE = 10_000
"""All traffic, in basis points."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""A DNS label (RFC 1123)."""
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
BasisPoints = Annotated[int, Field(ge=0, le=WHOLE)]
Seconds = Annotated[float, Field(ge=0.0, le=30 * 86_400.0)]


class Part(BaseModel):
    """A part of a resource: unknown fields are refused, names are camelCase on the wire."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )
