"""A connection to a gateway for commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from ostiary.client import Profile
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error


@asynccontextmanager
async def connected(profile: Profile) -> AsyncIterator[grpc.aio.Channel]:
    """A channel as the profile's owner, closed on leaving.

    Raises:
        OstiaryError: the certificate cannot be used, or a call failed.
    """
    try:
        credentials = CredentialSource(CredentialFiles(ca=profile.ca, cert=profile.cert, key=profile.key))
        channel = open_channel(profile.endpoint, credentials, server_name=profile.server_name)
    except (ValueError, OSError) as error:
        words = f"Authentication failed: the client's certificate: {error}"
        raise OstiaryError(Reason.CLIENT_CERTIFICATE, words) from error
    async with channel:
        try:
            yield channel
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
