"""Calls of the review desk for commands."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from ostiary.client import Profile
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary_gateway.cli.calling import connected

if TYPE_CHECKING:
    from ostiary.v1.audit_pb2_grpc import AuditServiceAsyncStub

T = TypeVar("T")


async def with_desk(profile: Profile, work: "Callable[[AuditServiceAsyncStub], Awaitable[T]]") -> T:
    """What `work` makes of the service. Raises OstiaryError where a call fails."""
    async with connected(profile) as channel:
        stub: AuditServiceAsyncStub = AuditServiceStub(channel)
        return await work(stub)
