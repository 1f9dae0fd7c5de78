"""One caller's connection to a gateway, which follows the certificate files."""

import asyncio
from typing import TYPE_CHECKING

import grpc

from ostiary.client.profile import Profile
from ostiary.v1.moderation_pb2_grpc import ModerationServiceStub
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.errors import OstiaryError, Reason

if TYPE_CHECKING:
    from ostiary.v1.moderation_pb2_grpc import ModerationServiceAsyncStub

# Longer than any call: a channel that is replaced finishes what it carries.
DRAIN_SECONDS = 120.0


class Connection:
    """Opens a channel when it is first needed, and a new one after each rotation of the certificate."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._source = CredentialSource(CredentialFiles(ca=profile.ca, cert=profile.cert, key=profile.key))
        self._channel: grpc.aio.Channel | None = None
        self._generation = -1
        self._closed = False
        self._draining: set[asyncio.Task[None]] = set()

    def stub(self) -> "ModerationServiceAsyncStub":
        """The methods of checks, over `channel`, with its errors."""
        stub: ModerationServiceAsyncStub = ModerationServiceStub(self.channel())
        return stub

    def channel(self) -> grpc.aio.Channel:
        """A channel with the certificate as it is now.

        Raises:
            OstiaryError: CLIENT_CERTIFICATE where the files cannot be used, FAILED_PRECONDITION when closed.
        """
        if self._closed:
            raise OstiaryError(Reason.FAILED_PRECONDITION, "the client is closed: make a new one")
        try:
            return self._current()
        except (ValueError, OSError) as error:
            raise OstiaryError(
                Reason.CLIENT_CERTIFICATE, f"Authentication failed: the client's certificate: {error}"
            ) from error

    def _current(self) -> grpc.aio.Channel:
        generation = self._source.generation
        if self._channel is not None and generation == self._generation:
            return self._channel
        channel = open_channel(self._profile.endpoint, self._source, server_name=self._profile.server_name)
        if self._channel is not None:
            self._drain(self._channel)
        self._channel, self._generation = channel, self._source.generation
        return channel

    def _drain(self, channel: grpc.aio.Channel) -> None:
        task = asyncio.get_running_loop().create_task(channel.close(DRAIN_SECONDS))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def close(self) -> None:
        """Closes at once whatever is open."""
        self._closed = True
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
