"""Pods found by name: an endpoint written `dns:///NAME:PORT` stands for every address that the name has.

That is what a headless Service of Kubernetes gives, and what any DNS server can say.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from ostiary.v1.config_pb2 import Endpoint, TrafficRoute
from ostiary_gateway.route_source import RouteSource

PREFIX = "dns:///"
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
_log = structlog.get_logger(__name__)


async def resolve(name: str, port: int) -> list[str]:
    """The addresses of a name, `host:port` each, sorted.

    Raises:
        OSError: the name is unknown, or no name server answers.
    """
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    hosts = {address[0] for family, *_, address in found if family in (socket.AF_INET, socket.AF_INET6)}
    return sorted(f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}" for host in hosts)


class DnsRouteSource:
    """A route whose names are looked up now and then. Where a look-up fails, the last addresses stay.

    For one event loop: run `follow` beside the server.
    """

    def __init__(self, inner: RouteSource, resolve: Resolve = resolve, *, interval: float = 5.0) -> None:
        """
        Args:
            inner: gives the route as it is written.
            resolve: the addresses of a name and a port.
            interval: seconds between look-ups.
        """
        self._inner = inner
        self._resolve = resolve
        self._interval = interval
        self._addresses: Mapping[str, tuple[str, ...]] = {}
        self._written: TrafficRoute | None = None
        self._filled = TrafficRoute()

    def route(self) -> TrafficRoute:
        """The route with the addresses that were found last; see RouteSource."""
        written = self._inner.route()
        if written is not self._written:
            self._written, self._filled = written, self._fill(written)
        return self._filled

    async def follow(self) -> None:
        """Look the names up again and again, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._interval)

    async def refresh(self) -> None:
        """Look the names up once."""
        written = self._inner.route()
        names = _names(written)
        found = await asyncio.gather(*(self._look_up(name) for name in names))
        addresses = {name: addresses for name, addresses in zip(names, found, strict=True) if addresses}
        if addresses != self._addresses:
            self._addresses, self._written = addresses, None

    async def _look_up(self, name: str) -> tuple[str, ...]:
        host, _, port = name.removeprefix(PREFIX).rpartition(":")
        try:
            return tuple(await self._resolve(host, int(port)))
        except OSError as error:
            kept = self._addresses.get(name, ())
            _log.warning("name not resolved", name=host, error=str(error), kept=len(kept))
            return kept

    def _fill(self, written: TrafficRoute) -> TrafficRoute:
        filled = TrafficRoute()
        filled.CopyFrom(written)
        for version in filled.versions:
            endpoints = list(version.endpoints)
            del version.endpoints[:]
            for endpoint in endpoints:
                version.endpoints.extend(self._pods(endpoint))
        return filled

    def _pods(self, endpoint: Endpoint) -> list[Endpoint]:
        if not endpoint.address.startswith(PREFIX):
            return [endpoint]
        # Certificates carry the name, not the address of the day.
        host = endpoint.address.removeprefix(PREFIX).rpartition(":")[0]
        name = endpoint.server_name or host
        addresses = self._addresses.get(endpoint.address, ())
        return [Endpoint(address=address, server_name=name) for address in addresses]


def _names(route: TrafficRoute) -> list[str]:
    """The names to look up, each once."""
    addresses = (endpoint.address for version in route.versions for endpoint in version.endpoints)
    return list(dict.fromkeys(address for address in addresses if address.startswith(PREFIX)))
