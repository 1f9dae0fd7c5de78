"""Pods found by name."""

import socket
from collections.abc import Sequence

import pytest

from ostiary.v1.config_pb2 import TrafficRoute
from ostiary_gateway import routing
from ostiary_gateway.dns_route import DnsRouteSource, resolve

WRITTEN = """
name: main
versions:
  - name: v1
    weight: 10000
    endpoints: [{address: "dns:///pods.ns.svc:9443"}, {address: "10.9.9.9:1", serverName: x}]
"""


class Written:
    """A route as it is written."""

    def __init__(self) -> None:
        self.written = routing.load(WRITTEN)

    def route(self) -> TrafficRoute:
        return self.written


class Names:
    """A name server."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] | None = addresses
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, name: str, port: int) -> Sequence[str]:
        self.asked.append((name, port))
        if self.addresses is None:
            raise socket.gaierror("Name or service not known")
        return self.addresses


def pods(source: DnsRouteSource) -> list[tuple[str, str]]:
    (version,) = source.route().versions
    return [(endpoint.address, endpoint.server_name) for endpoint in version.endpoints]


async def test_a_name_stands_for_its_addresses() -> None:
    """Each is a pod of its own, whose certificate must carry the name; written addresses stay as they are."""
    names = Names("10.0.0.1:9443", "10.0.0.2:9443")
    source = DnsRouteSource(Written(), names)
    assert pods(source) == [("10.9.9.9:1", "x")]
    await source.refresh()
    assert names.asked == [("pods.ns.svc", 9443)]
    assert pods(source) == [
        ("10.0.0.1:9443", "pods.ns.svc"),
        ("10.0.0.2:9443", "pods.ns.svc"),
        ("10.9.9.9:1", "x"),
    ]
    assert source.route() is source.route()


async def test_pods_come_and_go() -> None:
    """A changed answer changes the route; where no server answers, the last addresses stay."""
    names = Names("10.0.0.1:9443")
    source = DnsRouteSource(Written(), names)
    await source.refresh()
    before = source.route()
    names.addresses = None
    await source.refresh()
    assert source.route() is before
    names.addresses = ["10.0.0.7:9443"]
    await source.refresh()
    assert pods(source)[0] == ("10.0.0.7:9443", "pods.ns.svc")


async def test_a_new_route_is_filled_with_what_is_known() -> None:
    """A change of weights costs no look-up."""
    inner = Written()
    source = DnsRouteSource(inner, Names("10.0.0.1:9443"))
    await source.refresh()
    inner.written = routing.load(WRITTEN.replace("main", "other"))
    assert source.route().name == "other"
    assert pods(source)[0][0] == "10.0.0.1:9443"


async def test_real_names_resolve() -> None:
    """The system's resolver: loopback by name, and a name that nobody has."""
    assert "127.0.0.1:443" in await resolve("localhost", 443)
    with pytest.raises(OSError, match=r".+"):
        await resolve("no-such-name.invalid", 443)


@pytest.mark.parametrize("address", ["dns://name:1", "dns:///name", "dns:///:1", "DNS:///a:1"])
def test_bad_names_are_refused(address: str) -> None:
    """A name needs three slashes and a port."""
    with pytest.raises(ValueError, match=r"endpoints\[0\].address: host:port or dns:///name:port"):
        routing.load(WRITTEN.replace("dns:///pods.ns.svc:9443", address))
