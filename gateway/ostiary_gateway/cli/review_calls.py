"""Calls of the review desk for commands."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import grpc

from ostiary.client import Profile
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error

if TYPE_CHECKING:
    from ostiary.v1.audit_pb2_grpc import AuditServiceAsyncStub

T = TypeVar("T")


async def with_desk(profile: Profile, work: "Callable[[AuditServiceAsyncStub], Awaitable[T]]") -> T:
    """What `work` makes of the service. Raises OstiaryError where a call fails."""
    try:
        credentials = CredentialSource(CredentialFiles(ca=profile.ca, cert=profile.cert, key=profile.key))
        channel = open_channel(profile.endpoint, credentials, server_name=profile.server_name)
    except (ValueError, OSError) as error:
        words = f"Authentication failed: the client's certificate: {error}"
        raise OstiaryError(Reason.CLIENT_CERTIFICATE, words) from error
    async with channel:
        stub: AuditServiceAsyncStub = AuditServiceStub(channel)
        try:
            return await work(stub)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
