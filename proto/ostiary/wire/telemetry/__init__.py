"""OpenTelemetry for gRPC on asyncio: own interceptors for all four kinds of call, and the providers.

Attributes name methods and outcomes only: never tenants, callers or listings.
"""

from ostiary.wire.telemetry.client import client_interceptors
from ostiary.wire.telemetry.providers import Telemetry, name_check, setup, trace_id
from ostiary.wire.telemetry.server import ServerTelemetry

__all__ = ["ServerTelemetry", "Telemetry", "client_interceptors", "name_check", "setup", "trace_id"]
