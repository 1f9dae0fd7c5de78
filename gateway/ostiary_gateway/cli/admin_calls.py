"""Calls of AdminService for commands."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ostiary.client import Profile
from ostiary.v1.admin_pb2 import (
    ChangeReport,
    HashList,
    ListGalleriesRequest,
    PodGallery,
    PutBrandRegistryRequest,
    PutHashListRequest,
)
from ostiary.v1.admin_pb2_grpc import AdminServiceStub
from ostiary.v1.config_pb2 import BrandRegistry
from ostiary_gateway.cli.calling import connected

if TYPE_CHECKING:
    from ostiary.v1.admin_pb2_grpc import AdminServiceAsyncStub


async def put_brand_registry(
    profile: Profile, registry: BrandRegistry, seconds: float, *, dry_run: bool
) -> ChangeReport:
    """What the gateway reports of the change.

    Raises:
        OstiaryError: the call failed.
    """
    async with _admin(profile) as admin:
        request = PutBrandRegistryRequest(registry=registry, dry_run=dry_run)
        return (await admin.PutBrandRegistry(request, timeout=seconds)).report


async def put_hash_list(
    profile: Profile, hash_list: HashList, seconds: float, *, dry_run: bool
) -> ChangeReport:
    """What the gateway reports of the change.

    Raises:
        OstiaryError: the call failed.
    """
    async with _admin(profile) as admin:
        request = PutHashListRequest(list=hash_list, dry_run=dry_run)
        return (await admin.PutHashList(request, timeout=seconds)).report


async def list_galleries(profile: Profile, seconds: float) -> Sequence[PodGallery]:
    """The galleries that the gateway's pods hold.

    Raises:
        OstiaryError: the call failed.
    """
    async with _admin(profile) as admin:
        return (await admin.ListGalleries(ListGalleriesRequest(), timeout=seconds)).galleries


@asynccontextmanager
async def _admin(profile: Profile) -> "AsyncIterator[AdminServiceAsyncStub]":
    async with connected(profile) as channel:
        stub: AdminServiceAsyncStub = AdminServiceStub(channel)
        yield stub
