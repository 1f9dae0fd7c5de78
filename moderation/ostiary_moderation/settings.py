"""pod.yaml. Paths are relative to the file."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ostiary.wire.identity import SpiffeId
from ostiary.wire.settings import TlsSettings, load_settings

_MODEL = ConfigDict(extra="forbid", frozen=True)
_ENVIRONMENT = "OSTIARY_POD_"
# Set by the keeper, from the ModelVersion.
_DIGEST = "OSTIARY_BUNDLE_DIGEST"


def checked_ids(ids: tuple[str, ...]) -> tuple[str, ...]:
    """The same; ValueError where one is no SPIFFE ID."""
    for each in ids:
        SpiffeId.parse(each)
    return ids


def _decoders() -> int:
    return min(4, len(os.sched_getaffinity(0)))


class InspectSettings(BaseModel):
    """A listener for operators."""

    model_config = _MODEL

    listen: str
    """Address, `host:port`; port 0 takes a free one."""
    clients: Annotated[tuple[str, ...], Field(min_length=1)]
    """SPIFFE IDs that may look, exactly."""

    @field_validator("clients")
    @classmethod
    def _are_spiffe_ids(cls, clients: tuple[str, ...]) -> tuple[str, ...]:
        return checked_ids(clients)


class PodSettings(BaseModel):
    """Everything that `ostiary pod serve` needs."""

    model_config = _MODEL

    listen: str = "127.0.0.1:8543"
    """Address for gateways, `host:port`; port 0 takes a free one."""
    health: str | None = "127.0.0.1:8544"
    """Address for health probes, without TLS; null for none."""
    admin: str | None = None
    """Address of metrics (`/metrics`) and probes (`/livez`, `/readyz`) over HTTP; null for none."""
    inspect: InspectSettings | None = None
    """Reflection, health and channelz over mutual TLS; null for none."""
    tls: TlsSettings
    clients: Annotated[tuple[str, ...], Field(min_length=1)]
    """SPIFFE IDs that may call, exactly: those of the gateways."""
    bundle: str = "mini"
    """A model bundle: the name of one that is shipped, or a folder."""
    bundle_digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")] | None = None
    """What the bundle's digest has to be, `sha256:` and hexadecimal, as `ostiary model inspect` tells it: no
    other is served. OSTIARY_BUNDLE_DIGEST of the environment wins; null for any."""
    decode_workers: Annotated[int, Field(ge=1, le=64, default_factory=_decoders)]
    """Images decoded at once; one process each, and one to spare. As many as there are cores if not given, at
    most 4: a photograph of 1.5 megapixels takes a core 40 ms, longer than a small model looks at it."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads of the model, and of each detector."""
    max_in_flight: Annotated[int, Field(ge=1, le=4096)] = 32
    """Checks looked at side by side: the model takes their images together."""
    max_queued: Annotated[int, Field(ge=0)] = 64
    """Checks that may wait; more are refused, with a time to retry after."""
    image_memory_mib: Annotated[int, Field(ge=1)] = 256
    """MiB of images that the checks in flight hold together, encoded and decoded; more wait. One check alone
    may hold more, so that every one is looked at. A photograph of 12 megapixels takes 36 while the detectors
    look at it, and the views that the model is shown a few."""
    drain_seconds: Annotated[float, Field(ge=0)] = 30.0
    """Time that checks in progress get when the pod is told to stop."""
    log_format: Literal["json", "text"] = "json"
    otlp_endpoint: str | None = None
    """OpenTelemetry collector, such as `http://127.0.0.1:4317`; null for none."""

    @field_validator("clients")
    @classmethod
    def _are_spiffe_ids(cls, clients: tuple[str, ...]) -> tuple[str, ...]:
        return checked_ids(clients)


def load_pod_settings(path: Path) -> PodSettings:
    """Load pod.yaml; a bundle that is a folder beside the file is found there.

    Raises:
        ValueError: names the file and every wrong or unknown key.
    """
    environ = dict(os.environ)
    if _DIGEST in environ:
        environ[f"{_ENVIRONMENT}BUNDLE_DIGEST"] = environ[_DIGEST]
    settings = load_settings(PodSettings, path, _ENVIRONMENT, environ)
    beside = path.parent / settings.bundle
    return settings.model_copy(update={"bundle": str(beside)}) if beside.is_dir() else settings
