"""Channels: whom they trust, and what a client is told when it cannot get through."""

import asyncio

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from bench import forge
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.errors import Reason
from wire.kit import CLIENT_ID, Site, failure, method


async def test_wrong_server_name(site: Site) -> None:
    """A server whose certificate lacks the name asked for is not spoken to, and the words say so."""
    async with (
        site.serving() as server,
        open_channel(server.address, site.client(), server_name="pod.ostiary.local") as channel,
    ):
        error = await failure(method(channel, "Unary")(StringValue()))
    assert (error.reason, "check server_name" in error.message) == (Reason.SERVER_CERTIFICATE, True)


async def test_server_of_another_authority(site: Site) -> None:
    """A server of an authority that the client does not trust is not spoken to."""
    other = forge.authority("other")
    files = forge.leaf(other, str(CLIENT_ID)).write(site.folder / "other", other.certificate)
    async with site.serving() as server, site.channel(server, CredentialSource(files)) as channel:
        error = await failure(method(channel, "Unary")(StringValue()))
    assert (error.reason, "check that the ca file" in error.message) == (Reason.SERVER_CERTIFICATE, True)


async def test_endpoint_without_tls(site: Site) -> None:
    """An endpoint that speaks no TLS, here the health port, is told apart from a server that is down."""
    async with (
        site.serving(health_address="127.0.0.1:0") as server,
        open_channel(str(server.health_address), site.client()) as channel,
    ):
        error = await failure(method(channel, "Unary")(StringValue()))
    assert error.reason in {Reason.SERVER_CERTIFICATE, Reason.CLIENT_CERTIFICATE}


async def test_nobody_listens(site: Site) -> None:
    """A server that is down is UNAVAILABLE, not a matter of certificates."""
    async with site.serving() as server:
        address = server.address
    async with open_channel(address, site.client(), server_name="localhost") as channel:
        error = await failure(method(channel, "Unary")(StringValue()))
    assert error.reason is Reason.UNAVAILABLE


async def test_answer_above_the_limit(site: Site) -> None:
    """An answer that is larger than the client accepts says which setting to raise."""
    async with (
        site.serving() as server,
        open_channel(
            server.address, site.client(), server_name="localhost", max_receive_bytes=1000
        ) as channel,
    ):
        error = await failure(method(channel, "Unary")(StringValue(value="x" * 2000)))
    assert (error.reason, "max_receive_bytes" in error.message) == (Reason.TOO_LARGE, True)


async def test_each_channel_has_its_own_certificate(site: Site) -> None:
    """Two channels of one process to one server are two peers: no connection is shared."""
    stranger = site.client(forge.leaf(site.root, "spiffe://wire.test/role/stranger"))
    async with (
        site.serving() as server,
        site.channel(server) as ours,
        site.channel(server, stranger) as theirs,
    ):
        for _ in range(3):
            good, refused = await asyncio.gather(
                method(ours, "Unary")(StringValue(value="a")),
                failure(method(theirs, "Unary")(StringValue(value="a"))),
            )
            assert good.value == "a:tester"
            assert refused.reason is Reason.PERMISSION_DENIED


async def test_bad_credentials(site: Site) -> None:
    """A channel is not opened with credentials that are bad: the words come before the first call."""
    expired = forge.leaf(site.root, str(CLIENT_ID), life=(-2 * forge.HOUR, -forge.HOUR))
    source = CredentialSource(expired.write(site.folder / "expired", site.root.certificate))
    with pytest.raises(ValueError, match="cert expired at"):
        open_channel("127.0.0.1:1", source)


async def test_server_comes_back(site: Site) -> None:
    """A channel finds a server again that was restarted on the same address."""
    async with site.serving() as first, site.channel(first) as channel:
        await method(channel, "Unary")(StringValue())
        await first.drain(0)
        async with site.serving(address=first.address):
            again = await method(channel, "Unary")(StringValue(value="b"), wait_for_ready=True, timeout=20)
    assert again.value == "b:tester"
