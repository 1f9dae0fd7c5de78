"""Rotation under load: certificates and authorities change while calls go on, and no call fails."""

import asyncio
from collections.abc import Callable

from google.protobuf.wrappers_pb2 import StringValue

from bench import forge
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.errors import Reason
from ostiary.wire.limits import ServerLimits
from ostiary.wire.server import Server
from wire.kit import CLIENT_ID, SERVER_ID, Clock, Site, failure, method

ROTATIONS = 10


class Caller:
    """Calls without pause, over channels that follow its credentials; its first failure ends it."""

    def __init__(self, site: Site, server: Server, source: CredentialSource) -> None:
        self.calls = 0
        self.generation = 0
        self._stop = False
        self._task = asyncio.ensure_future(self._run(site, server, source))

    async def _run(self, site: Site, server: Server, source: CredentialSource) -> None:
        while not self._stop:
            generation = source.generation
            async with site.channel(server, source) as channel:
                while not self._stop and source.generation == generation:
                    await method(channel, "Unary")(StringValue(value="a"), timeout=10)
                    self.calls, self.generation = self.calls + 1, generation

    async def until(self, reached: Callable[[], bool], clock: Clock) -> None:
        """Lets calls go on, and time pass, until `reached`; raises what a call raised."""
        while not reached():
            if self._task.done():
                self._task.result()
            clock.advance(0.1)
            await asyncio.sleep(0.005)

    async def finish(self) -> None:
        """Ends with the call that is under way; raises what a call raised."""
        self._stop = True
        await self._task


def _install(files: CredentialFiles, holder: forge.Holder) -> None:
    files.cert.write_bytes(forge.pem(holder.certificate))
    files.key.write_bytes(holder.key_pem)


def _trust(site: Site, *roots: forge.Holder) -> None:
    for files in (site.server_files, site.client_files):
        files.ca.write_bytes(forge.pem(*(root.certificate for root in roots)))


async def test_leaves_and_authorities_rotate_under_calls(site: Site) -> None:
    """Trust both, move both leaves, trust the new one alone, ten times over: 0 failed calls."""
    clock = Clock()
    server_source = CredentialSource(site.server_files, clock=clock)
    client_source = CredentialSource(site.client_files, clock=clock)
    limits = ServerLimits(max_connection_age=0.2, max_connection_age_grace=10)
    old = site.root
    async with site.serving(credentials=server_source, limits=limits) as server:
        caller = Caller(site, server, client_source)

        async def settle(server_at: int, client_at: int) -> None:
            await caller.until(
                lambda: server_source.generation >= server_at and caller.generation >= client_at, clock
            )

        await settle(1, 1)
        for _ in range(ROTATIONS):
            server_at, client_at = server_source.generation, caller.generation
            new = forge.authority(trust_domain=SERVER_ID.trust_domain)
            _trust(site, old, new)
            await settle(server_at + 1, client_at + 1)
            _install(site.server_files, forge.leaf(new, str(SERVER_ID), dns=["localhost"]))
            _install(site.client_files, forge.leaf(new, str(CLIENT_ID)))
            await settle(server_at + 2, client_at + 2)
            _trust(site, new)
            await settle(server_at + 3, client_at + 3)
            old = new
        await caller.finish()
    assert caller.calls >= 3 * ROTATIONS


async def test_next_handshake_shows_the_new_leaf(site: Site) -> None:
    """A new server leaf is shown to the very next connection; here, one that the client does not trust."""
    async with site.serving() as server:
        async with site.channel(server) as channel:
            await method(channel, "Unary")(StringValue(value="a"))
        _install(site.server_files, forge.leaf(forge.authority("other"), str(SERVER_ID), dns=["localhost"]))
        async with site.channel(server) as channel:
            error = await failure(method(channel, "Unary")(StringValue(value="a")))
    assert error.reason is Reason.SERVER_CERTIFICATE
    assert "check that the ca file" in error.message
