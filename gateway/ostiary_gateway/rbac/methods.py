"""The methods that rules can name, as people write them: `Service/Method` or `Service/*`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from google.protobuf.descriptor import ServiceDescriptor
from grpc_channelz.v1 import channelz_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from ostiary.v1 import admin_pb2, audit_pb2, inference_pb2, moderation_pb2

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for module in (moderation_pb2, audit_pb2, admin_pb2, inference_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
)
# What the inspection listener serves.
INSPECTION: tuple[ServiceDescriptor, ...] = (
    cast(ServiceDescriptor, health_pb2.DESCRIPTOR.services_by_name["Health"]),
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
    channelz_pb2.DESCRIPTOR.services_by_name["Channelz"],
)
PATHS = {
    f"{service.name}/{method.name}": f"/{service.full_name}/{method.name}"
    for service in (*SERVICES, *INSPECTION)
    for method in service.methods
}


def expand(where: str, listed: Iterable[str]) -> tuple[str, ...]:
    """Full paths of the methods that are listed, each once, in the contract's order.

    Raises:
        ValueError: one does not exist; `where` says in which list it stands.
    """
    paths: set[str] = set()
    for number, name in enumerate(listed):
        service, _, method = name.partition("/")
        named = {
            known for known in PATHS if known == name or (method == "*" and known.startswith(f"{service}/"))
        }
        if not named:
            raise ValueError(
                f"{where}[{number}]: there is no method {name!r}; write it as ModerationService/Check"
            )
        paths.update(PATHS[known] for known in named)
    return tuple(path for path in PATHS.values() if path in paths)


def short(path: str) -> str:
    """`Service/Method` of a full path."""
    return path.rpartition(".")[2]
