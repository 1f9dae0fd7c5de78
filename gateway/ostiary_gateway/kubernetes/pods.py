"""Pods of a model's versions, from EndpointSlices. Pure."""

from collections.abc import Iterable, Mapping

from ostiary.v1.config_pb2 import Endpoint
from ostiary_gateway.kubernetes.api_server import Json

MODEL = "ostiary.dev/model"
VERSION = "ostiary.dev/version"
"""Labels of a version's Service; Kubernetes copies them to its slices."""
PORT = "grpc"
_SERVICE = "kubernetes.io/service-name"


def pods(slices: Iterable[Json], model: str, server_name: str) -> Mapping[str, tuple[Endpoint, ...]]:
    """The ready pods of each version of a model, in the order of their addresses.

    Args:
        slices: EndpointSlices.
        model: what their label says.
        server_name: DNS name in the pods' certificates, with `{service}`, `{namespace}`, `{version}` and
            `{model}` to be filled in.
    """
    found: dict[str, dict[str, Endpoint]] = {}
    for one in slices:
        metadata = one["metadata"]
        labels = metadata.get("labels") or {}
        version, port = labels.get(VERSION), _port(one)
        if labels.get(MODEL) != model or not version or port is None:
            continue
        name = server_name.format(
            service=labels.get(_SERVICE, ""), namespace=metadata["namespace"], version=version, model=model
        )
        for endpoint in one.get("endpoints") or ():
            # Unknown counts as ready, as Kubernetes says.
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                for host in endpoint["addresses"][:1]:
                    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                    found.setdefault(version, {})[address] = Endpoint(address=address, server_name=name)
    return {version: tuple(by[each] for each in sorted(by)) for version, by in found.items()}


def _port(one: Json) -> int | None:
    """The port called `grpc`, or the only one."""
    ports = one.get("ports") or ()
    named = [port for port in ports if port.get("name") == PORT] or (ports if len(ports) == 1 else ())
    return next((int(port["port"]) for port in named if port.get("port")), None)
