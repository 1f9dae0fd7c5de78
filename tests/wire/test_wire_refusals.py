"""Who is turned away at the door: every laxity of the TLS runtime that the per-call check closes."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from bench import forge
from bench.forge import HOUR, Holder
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import Peer
from ostiary.wire.peers import PeerVerifier
from wire.kit import CLIENT_ID, Clock, Site, failure, method

ID = str(CLIENT_ID)
Make = Callable[[Holder], Holder]

UNAUTHENTICATED: dict[str, Make] = {
    "two URI names": lambda root: forge.leaf(root, ID, "spiffe://wire.test/role/other"),
    "the same URI name twice": lambda root: forge.leaf(root, ID, ID),
    "no URI name": lambda root: forge.leaf(root, dns=["client.wire.test"]),
    "common name only": lambda root: forge.leaf(root, common_name=ID),
    "common name beside another ID's trust domain": lambda root: forge.leaf(
        root, "spiffe://other.test/role/client", common_name=ID
    ),
    "query": lambda root: forge.leaf(root, f"{ID}?admin"),
    "fragment": lambda root: forge.leaf(root, f"{ID}#admin"),
    "parent segment": lambda root: forge.leaf(root, "spiffe://wire.test/role/x/../client"),
    "current segment": lambda root: forge.leaf(root, "spiffe://wire.test/role/./client"),
    "empty segment": lambda root: forge.leaf(root, "spiffe://wire.test/role//client"),
    "trailing slash": lambda root: forge.leaf(root, f"{ID}/"),
    "no path": lambda root: forge.leaf(root, "spiffe://wire.test"),
    "user information": lambda root: forge.leaf(root, "spiffe://user@wire.test/role/client"),
    "port": lambda root: forge.leaf(root, "spiffe://wire.test:443/role/client"),
    "percent-encoding": lambda root: forge.leaf(root, "spiffe://wire.test/role/%63lient"),
    "upper-case trust domain": lambda root: forge.leaf(root, "spiffe://WIRE.test/role/client"),
    "upper-case scheme": lambda root: forge.leaf(root, "SPIFFE://wire.test/role/client"),
    "another scheme": lambda root: forge.leaf(root, "https://wire.test/role/client"),
    "another trust domain": lambda root: forge.leaf(root, "spiffe://other.test/role/client"),
}

HANDSHAKE: dict[str, Make] = {
    "foreign root": lambda root: forge.leaf(forge.authority(), ID),
    "foreign root of the same name": lambda root: forge.leaf(forge.authority("root"), ID),
    "expired": lambda root: forge.leaf(root, ID, life=(-2 * HOUR, -timedelta(seconds=1))),
    "not yet valid": lambda root: forge.leaf(root, ID, life=(HOUR, 2 * HOUR)),
    "for servers only": lambda root: forge.leaf(root, ID, uses=[forge.SERVER]),
    "issued by a leaf": lambda root: forge.leaf(forge.leaf(root, "spiffe://wire.test/x"), ID),
    "issued by an authority that is none": lambda root: forge.leaf(
        forge.authority("not an authority", root, ca=False), ID
    ),
    "expired intermediate": lambda root: forge.leaf(
        forge.authority("old", root, life=(-2 * HOUR, -timedelta(seconds=1))), ID
    ),
}


def call(channel: grpc.aio.Channel) -> Any:
    return method(channel, "Unary")(StringValue(value="a"), timeout=10)


@pytest.mark.parametrize("make", UNAUTHENTICATED.values(), ids=UNAUTHENTICATED.keys())
async def test_identity_is_refused(site: Site, make: Make) -> None:
    """A certificate of the right authority with any other identity than one strict SPIFFE ID is refused."""
    async with site.serving() as server, site.bare_channel(server, make(site.root)) as channel:
        error = await failure(call(channel))
    assert error.reason is Reason.UNAUTHENTICATED


@pytest.mark.parametrize("make", HANDSHAKE.values(), ids=HANDSHAKE.keys())
async def test_handshake_is_refused(site: Site, make: Make) -> None:
    """A certificate that the handshake refuses is told to the client as a matter of its certificate."""
    async with site.serving() as server, site.bare_channel(server, make(site.root)) as channel:
        error = await failure(call(channel))
    assert error.reason is Reason.CLIENT_CERTIFICATE
    assert "check that cert and key are set" in error.message


@pytest.mark.parametrize("make", HANDSHAKE.values(), ids=HANDSHAKE.keys())
def test_chain_is_refused_again(make: Make) -> None:
    """The per-call check alone, without the handshake, refuses the same certificates."""
    root = forge.authority(trust_domain="wire.test")
    with pytest.raises(OstiaryError, match=r"refused|expired"):
        verify(make(root), root)


def test_intermediates_are_followed() -> None:
    """A leaf below an intermediate that it presents is accepted; without the intermediate it is not."""
    root = forge.authority(trust_domain="wire.test")
    holder = forge.leaf(forge.authority("intermediate", root), ID)
    assert verify(holder, root).id == CLIENT_ID
    with pytest.raises(OstiaryError, match="does not chain"):
        verify(Holder(holder.certificate, holder.key), root)


def test_denied_intermediate() -> None:
    """Denying an intermediate's serial denies all that it issued."""
    root = forge.authority(trust_domain="wire.test")
    intermediate = forge.authority("intermediate", root)
    holder = forge.leaf(intermediate, ID)
    denied = frozenset({intermediate.certificate.serial_number})
    with pytest.raises(OstiaryError, match="deny-list"):
        verify(holder, root, denied=denied)


async def test_intermediate_over_tls(site: Site) -> None:
    """A client whose certificate an intermediate issued gets in when it presents the intermediate."""
    holder = forge.leaf(forge.authority("intermediate", site.root), ID)
    async with site.serving() as server, site.bare_channel(server, holder) as channel:
        assert (await call(channel)).value == "a:tester"


TLS = {"1.0": b"TLSv1", "1.1": b"TLSv1.1", "1.4": b"TLSv1.4", "absent": None, "empty": b""}


@pytest.mark.parametrize("version", TLS.values(), ids=TLS.keys())
def test_tls_version(version: bytes | None) -> None:
    """A connection of another TLS version than 1.2 or 1.3, or of none, is refused."""
    root = forge.authority(trust_domain="wire.test")
    with pytest.raises(OstiaryError, match=r"TLS 1\.2 or 1\.3"):
        verify(forge.leaf(root, ID), root, version)


def test_no_certificate() -> None:
    """A connection without a client certificate is nobody's."""
    verifier = PeerVerifier([forge.authority().certificate], "wire.test")
    with pytest.raises(OstiaryError, match="No client certificate"):
        verifier.verify({"ssl_tls_version": [b"TLSv1.3"]}, frozenset(), Clock()())


async def test_denied_serial_on_an_open_connection(site: Site) -> None:
    """A serial put on the deny-list is refused on the connection that it already has."""
    clock = Clock()
    async with site.serving(clock=clock) as server, site.channel(server) as channel:
        await method(channel, "Unary")(StringValue(value="a"))
        serial = forge.x509.load_pem_x509_certificate(site.client_files.cert.read_bytes()).serial_number
        assert site.server_files.deny_list is not None
        site.server_files.deny_list.write_text(f"{serial:X}  # lost\n")
        clock.advance(1)
        error = await failure(call(channel))
    assert error.reason is Reason.UNAUTHENTICATED
    assert "deny-list" in error.message


async def test_leaf_expires_on_an_open_connection(site: Site) -> None:
    """A certificate that expires while its connection is open is refused from that moment on."""
    clock = Clock()
    async with site.serving(clock=clock) as server, site.channel(server) as channel:
        await method(channel, "Unary")(StringValue(value="a"))
        clock.advance(3601)
        error = await failure(call(channel))
    assert error.reason is Reason.UNAUTHENTICATED
    assert "expired" in error.message


async def test_authority_is_removed_from_an_open_connection(site: Site) -> None:
    """Once an authority leaves the ca file, those it vouched for are refused on their open connections."""
    clock = Clock()
    async with site.serving(clock=clock) as server, site.channel(server) as channel:
        await method(channel, "Unary")(StringValue(value="a"))
        site.server_files.ca.write_bytes(forge.pem(forge.authority("new").certificate))
        clock.advance(1)
        error = await failure(call(channel))
    assert error.reason is Reason.UNAUTHENTICATED
    assert "does not chain" in error.message


async def test_authority_is_removed_for_new_connections(site: Site) -> None:
    """Once an authority leaves the ca file, the next handshake fails: no second of grace."""
    async with site.serving() as server:
        async with site.channel(server) as channel:
            await method(channel, "Unary")(StringValue(value="a"))
        site.server_files.ca.write_bytes(forge.pem(forge.authority("new").certificate))
        async with site.channel(server) as channel:
            error = await failure(call(channel))
    assert error.reason is Reason.CLIENT_CERTIFICATE


async def test_no_client_certificate(site: Site) -> None:
    """A client without a certificate, and one without TLS, do not get in."""
    async with (
        site.serving() as server,
        site.bare_channel(server, None) as bare,
        grpc.aio.insecure_channel(server.address) as plain,
    ):
        errors = await asyncio.gather(failure(call(bare)), failure(call(plain)))
    assert [error.reason for error in errors] == [Reason.CLIENT_CERTIFICATE] * 2


def verify(
    holder: Holder,
    root: Holder,
    version: bytes | None = b"TLSv1.3",
    denied: frozenset[int] = frozenset(),
) -> Peer:
    """What the server's check makes of a holder on a connection of that TLS version."""
    context = {
        "x509_pem_cert": [forge.pem(holder.certificate)],
        "x509_pem_cert_chain": [forge.pem(*holder.above)] if holder.above else [],
    }
    if version is not None:
        context["ssl_tls_version"] = [version]
    return PeerVerifier([root.certificate], "wire.test").verify(context, denied, Clock()())
