"""What operators may look into, and that nobody else may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from bench import forge
from ostiary.wire import inspection
from ostiary.wire.authorization import AllowedIds
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialSource
from wire.kit import CLIENT_ID, DOMAIN, ECHO, METHODS, Site


@asynccontextmanager
async def inspected(site: Site, who: forge.Holder | None = None) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the inspection listener of a server of Echo."""
    operators = AllowedIds("sre", {CLIENT_ID}, inspection.METHODS)
    async with site.serving() as server:
        credentials = CredentialSource(site.server_files)
        listener = await inspection.start("127.0.0.1:0", credentials, operators, server)
        try:
            async with open_channel(listener.address, site.client(who), server_name="localhost") as channel:
                yield channel
        finally:
            await listener.drain(0)


async def test_reflection_lists_what_is_served(site: Site) -> None:
    """Both the server's services and the listener's own."""
    async with inspected(site) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        listed = [
            service.name
            async for response in stub.ServerReflectionInfo(asked, timeout=10)
            for service in response.list_services_response.service
        ]
    assert set(listed) == {ECHO.full_name, *(service.full_name for service in inspection.SERVICES)}


async def test_channelz_shows_servers(site: Site) -> None:
    """At least the two listeners of this process; one that does not exist is not found."""
    async with inspected(site) as channel:
        stub = channelz_pb2_grpc.ChannelzStub(channel)
        answer = await stub.GetServers(channelz_pb2.GetServersRequest(), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetServer(channelz_pb2.GetServerRequest(server_id=10**9), timeout=10)
    assert len(answer.server) >= 2
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_is_the_servers_own(site: Site) -> None:
    """For the process, for a service, and for none that there is."""
    async with inspected(site) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", ECHO.full_name):
            request = health_pb2.HealthCheckRequest(service=name)
            answer = await stub.Check(request, timeout=10)  # type: ignore[attr-defined]
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(  # type: ignore[attr-defined]
                health_pb2.HealthCheckRequest(service="no.Such"), timeout=10
            )
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("path", inspection.METHODS)
async def test_others_are_refused(site: Site, path: str) -> None:
    """An identity of the same authority that no rule names gets into no method."""
    stranger = forge.leaf(site.root, f"spiffe://{DOMAIN}/role/stranger")
    async with inspected(site, stranger) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_every_method_needs_a_rule(site: Site) -> None:
    """A listener that some rule forgets does not start."""
    some = AllowedIds("sre", {CLIENT_ID}, [*METHODS, *inspection.METHODS[1:]])
    async with site.serving() as server:
        with pytest.raises(ValueError, match=f"no rule of the authoriser names {inspection.METHODS[0]}"):
            await inspection.start("127.0.0.1:0", CredentialSource(site.server_files), some, server)
