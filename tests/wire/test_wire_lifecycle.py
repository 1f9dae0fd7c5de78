"""A server's life: start refused, health on a port of its own, drain."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ostiary.wire.authorization import AllowedIds
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.errors import Reason
from ostiary.wire.server import Call, Server, ServerBuilder
from wire.kit import CLIENT_ID, ECHO, HANDLERS, METHODS, Clock, Site, failure, method

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def watching(server: Server, service: str = "") -> AsyncIterator[Any]:
    """The stream of health states, as an orchestrator's probe sees it: plaintext, no certificate."""
    assert server.health_address is not None
    async with grpc.aio.insecure_channel(server.health_address) as channel:
        yield health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))


async def reaches(watch: Any, wanted: int) -> None:
    while (await asyncio.wait_for(watch.read(), 10)).status != wanted:
        pass


async def test_health_answers_before_there_is_a_server(site: Site) -> None:
    """NOT_SERVING while what it needs is put together; the same address says SERVING once it does, and is
    free again afterwards.
    """
    builder = site.builder(health_address="127.0.0.1:0")
    async with builder.announced(ECHO) as address, grpc.aio.insecure_channel(str(address)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=ECHO.full_name))
        assert (await watch.read()).status == NOT_SERVING
        builder.add_service(ECHO, HANDLERS)
        server = await builder.start()
        assert server.health_address == address
        server.set_serving(True)
        await reaches(watch, SERVING)
        await server.drain(0)
    host, _, port = str(address).rpartition(":")
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections may linger, a listener not
        free.bind((host, int(port)))


async def test_refuses_bad_credentials(site: Site) -> None:
    """A server does not start with credentials that are bad; nor is one built without any."""
    site.server_files.key.unlink()
    builder = site.builder()
    builder.add_service(ECHO, HANDLERS)
    with pytest.raises(ValueError, match=r"key\.pem cannot be read"):
        await builder.start()
    with pytest.raises(ValueError, match="no plaintext mode"):
        ServerBuilder(
            address="127.0.0.1:0",
            health_address=None,
            credentials=cast(CredentialSource, None),
            authorizer=AllowedIds("", (), ()),
        )


async def test_refuses_a_method_without_a_rule(site: Site) -> None:
    """A method that no rule names keeps the server from starting, also one that has no handler."""
    builder = ServerBuilder(
        address="127.0.0.1:0",
        health_address=None,
        credentials=CredentialSource(site.server_files),
        authorizer=AllowedIds("tester", {CLIENT_ID}, METHODS[:-1]),
    )
    builder.add_service(ECHO, HANDLERS)
    assert builder.methods == tuple(METHODS)
    with pytest.raises(ValueError, match=r"no rule of the authoriser names /wire\.kit\.Echo/Later"):
        await builder.start()


@pytest.mark.parametrize("taken", ["address", "health_address"])
async def test_address_in_use(site: Site, taken: str) -> None:
    """An address that is taken is a ValueError that names it, and what was bound is let go."""
    async with site.serving(health_address="127.0.0.1:0") as first:
        free = _free_address()
        other = {"address": free, "health_address": free, taken: first.address}
        builder = site.builder(**other)
        builder.add_service(ECHO, HANDLERS)
        with pytest.raises(ValueError, match=f"{first.address} cannot be bound"):
            await builder.start()
        async with site.serving(address=free):
            pass


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def test_health_follows_set_serving(site: Site) -> None:
    """NOT_SERVING until told, then as told, for the process and for each service."""
    builder = site.builder(health_address="127.0.0.1:0")
    builder.add_service(ECHO, HANDLERS)
    server = await builder.start()
    async with watching(server) as process, watching(server, ECHO.full_name) as service:
        for watch in (process, service):
            assert (await watch.read()).status == NOT_SERVING
        server.set_serving(True)
        for watch in (process, service):
            await reaches(watch, SERVING)
        server.set_serving(False)
        for watch in (process, service):
            await reaches(watch, NOT_SERVING)
    await server.drain(0)


async def test_health_is_told_of_a_leaf_about_to_expire(site: Site) -> None:
    """Half a minute before its own certificate ends a server is NOT_SERVING, whatever it was told."""
    clock = Clock()
    async with site.serving(clock=clock, health_address="127.0.0.1:0") as server, watching(server) as watch:
        await reaches(watch, SERVING)
        clock.advance(3601 - 30)
        server.set_serving(True)
        await reaches(watch, NOT_SERVING)


async def test_drain_lets_calls_finish(site: Site) -> None:
    """While draining, health says NOT_SERVING, new calls are refused, and running ones finish."""
    started, release = asyncio.Event(), asyncio.Event()

    async def hold(request: StringValue, call: Call) -> StringValue:
        started.set()
        await release.wait()
        return request

    async with (
        site.serving({"Unary": hold}, health_address="127.0.0.1:0") as server,
        site.channel(server) as channel,
        watching(server) as watch,
    ):
        running = method(channel, "Unary")(StringValue(value="a"))
        waiting = asyncio.ensure_future(_value(running))
        await asyncio.wait_for(started.wait(), 5)
        draining = asyncio.ensure_future(server.drain(30))
        await reaches(watch, NOT_SERVING)
        async with site.channel(server) as late:
            assert (await failure(method(late, "Unary")(StringValue()))).reason is Reason.UNAVAILABLE
        release.set()
        assert await waiting == "a"
        await asyncio.wait_for(draining, 10)
        await asyncio.wait_for(server.wait(), 10)


async def _value(call: Any) -> str:
    return str((await call).value)


async def test_drain_ends_what_outlasts_the_grace(site: Site) -> None:
    """A call that is still running when the grace is over is cancelled; draining twice does no harm."""
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(request: StringValue, call: Call) -> StringValue:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with site.serving({"Unary": hang}) as server, site.channel(server) as channel:
        running = asyncio.ensure_future(failure(method(channel, "Unary")(StringValue())))
        await asyncio.wait_for(started.wait(), 5)
        await server.drain(0.05)
        await asyncio.wait_for(cancelled.wait(), 5)
        assert (await running).reason in {Reason.UNAVAILABLE, Reason.CANCELLED}
        await server.drain(0)


async def test_trust_domain_of_the_settings(site: Site) -> None:
    """A listener of another trust domain refuses its own authority's clients at start, by name."""
    builder = site.builder(
        credentials=CredentialSource(replace(site.server_files, trust_domain="other.test"))
    )
    builder.add_service(ECHO, HANDLERS)
    with pytest.raises(ValueError, match=r"authority of trust domain wire\.test"):
        await builder.start()
