"""The handlers of AdminService: what compliance administrators list and change.

A change is tried first as a gateway would read it, then written durably to where the gateway reads it, and in
force when the answer leaves. Nothing is changed by a change that is refused. Other gateways take it up when
they see the files: they share them, or a change is put to each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import structlog

from ostiary.v1.admin_pb2 import (
    ChangeReport,
    ListBrandRegistriesRequest,
    ListBrandRegistriesResponse,
    ListGalleriesRequest,
    ListGalleriesResponse,
    ListHashListsRequest,
    ListHashListsResponse,
    ListPoliciesRequest,
    ListPoliciesResponse,
    PutBrandRegistryRequest,
    PutBrandRegistryResponse,
    PutHashListRequest,
    PutHashListResponse,
    PutPolicyRequest,
    PutPolicyResponse,
)
from ostiary.v1.config_pb2 import BrandRegistry
from ostiary.wire.call import Call, Handler
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.brand_source import EditableBrandSource
from ostiary_gateway.brands import lint
from ostiary_gateway.brands.in_force import Registry
from ostiary_gateway.brands.problems import MOST_PROBLEMS
from ostiary_gateway.brands.writing import with_known_images, without_images
from ostiary_gateway.changes import Edition, report, stale
from ostiary_gateway.galleries import Galleries
from ostiary_gateway.hashes import messages
from ostiary_gateway.hashes.problems import BadListError
from ostiary_gateway.list_source import FolderListSource
from ostiary_gateway.policy_source import EditablePolicySource

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class AdminService:
    """What compliance administrators call. For one event loop."""

    def __init__(
        self,
        policies: EditablePolicySource,
        lists: FolderListSource | None,
        brands: EditableBrandSource | None,
        galleries: Galleries | None,
    ) -> None:
        """`lists`, `brands` and `galleries` are None where the gateway has no folder of them."""
        self._policies = policies
        self._lists = lists
        self._brands = brands
        self._galleries = galleries
        # What a change is compared with must still be in force when it is written.
        self._changing = asyncio.Lock()

    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by method name, as a server builder takes them."""
        return {
            "ListPolicies": self.list_policies,
            "PutPolicy": self.put_policy,
            "ListBrandRegistries": self.list_brand_registries,
            "PutBrandRegistry": self.put_brand_registry,
            "ListHashLists": self.list_hash_lists,
            "PutHashList": self.put_hash_list,
            "ListGalleries": self.list_galleries,
        }

    async def list_policies(self, request: ListPoliciesRequest, call: Call) -> ListPoliciesResponse:
        """ListPolicies: a gateway judges by one."""
        return ListPoliciesResponse(policies=[self._policies.policy().message])

    async def list_brand_registries(
        self, request: ListBrandRegistriesRequest, call: Call
    ) -> ListBrandRegistriesResponse:
        """ListBrandRegistries: without images, which may be more than a message holds."""
        held = self._brands.brands().by_name.values() if self._brands else ()
        return ListBrandRegistriesResponse(registries=[without_images(one.message) for one in held])

    async def list_hash_lists(self, request: ListHashListsRequest, call: Call) -> ListHashListsResponse:
        """ListHashLists: without entries."""
        held = self._lists.lists().by_name.values() if self._lists else ()
        return ListHashListsResponse(lists=[messages.bare(one.header) for one in held])

    async def list_galleries(self, request: ListGalleriesRequest, call: Call) -> ListGalleriesResponse:
        """ListGalleries: as the pods said when they were last asked."""
        return ListGalleriesResponse(galleries=self._galleries.held() if self._galleries else ())

    async def put_policy(self, request: PutPolicyRequest, call: Call) -> PutPolicyResponse:
        """PutPolicy: in the place of the one policy that there is."""
        async with self._changing:
            policy = self._policies.policy()
            before = Edition(policy.message.version, policy.sha256)
            try:
                tried = self._policies.tried(request.policy)
            except ValueError as error:
                return PutPolicyResponse(report=report(before, None, [str(error)], dry_run=request.dry_run))
            after = Edition(request.policy.version, tried.sha256)
            problems = stale(before, after)
            if request.policy.name != policy.message.name:
                problems.append(f"name: this gateway's policy is {policy.message.name!r}; keep the name")

            def put() -> list[str]:
                self._policies.put(request.policy)
                return []

            return PutPolicyResponse(
                report=await self._change(
                    call, "policy", before, after, problems, put, dry_run=request.dry_run
                )
            )

    async def put_brand_registry(
        self, request: PutBrandRegistryRequest, call: Call
    ) -> PutBrandRegistryResponse:
        """PutBrandRegistry: pods hear of its marks at once."""
        source = _configured(self._brands, "brands", "brand registries")
        async with self._changing:
            held = source.brands().by_name
            known = held.get(request.registry.name)
            message = with_known_images(request.registry, known.message if known else None)
            others = [one.message for name, one in held.items() if name != message.name]
            problems, new = await asyncio.to_thread(_tried_registry, message, others)
            before = Edition(known.message.version, known.digest) if known else None
            after = Edition(message.version, new.digest)
            changed = await self._change(
                call,
                "brand registry",
                before,
                after,
                problems + stale(before, after),
                lambda: source.put(message),
                dry_run=request.dry_run,
            )
        if self._galleries is not None:
            self._galleries.wake()
        return PutBrandRegistryResponse(report=changed)

    async def put_hash_list(self, request: PutHashListRequest, call: Call) -> PutHashListResponse:
        """PutHashList: what one message has room for; larger lists are files."""
        source = _configured(self._lists, "lists", "hash lists")
        async with self._changing:
            known = source.lists().by_name.get(request.list.name)
            before = Edition(known.header.version, known.digest) if known else None
            try:
                header, entries = await asyncio.to_thread(messages.files_of, request.list)
                new = await asyncio.to_thread(messages.read_files, request.list.name, header, entries)
            except BadListError as error:
                problems = [str(problem) for problem in error.problems]
                return PutHashListResponse(report=report(before, None, problems, dry_run=request.dry_run))
            after = Edition(new.header.version, new.digest)
            return PutHashListResponse(
                report=await self._change(
                    call,
                    "hash list",
                    before,
                    after,
                    stale(before, after),
                    lambda: source.put(new, header, entries),
                    dry_run=request.dry_run,
                )
            )

    async def _change(
        self,
        call: Call,
        what: str,
        before: Edition | None,
        after: Edition,
        problems: list[str],
        put: Callable[[], list[str]],
        *,
        dry_run: bool,
    ) -> ChangeReport:
        """The report of a change; `put` makes it, where nothing stands against it and it is one."""
        if not problems and not dry_run and before != after:
            try:
                problems = await _finished(asyncio.to_thread(put))
            except OSError as error:
                raise OstiaryError(
                    Reason.FAILED_PRECONDITION,
                    f"The {what} cannot be written ({error.strerror or error}): change it where the "
                    "gateway's files come from",
                ) from error
            _log.info(
                "changed" if not problems else "change failed",
                what=what,
                by=str(call.principal.id),
                before=before.version if before else "",
                after=after.version,
                sha256=after.sha256.hex(),
                problems=problems,
            )
        return report(before, after, problems, dry_run=dry_run)


def _tried_registry(message: BrandRegistry, others: list[BrandRegistry]) -> tuple[list[str], Registry]:
    """What is wrong with a registry, by itself and beside others; and what it would be in force."""
    found = [str(fault) for fault in lint.faults(message)]
    if not found:
        beside = lint.overlaps([*others, message])
        found = [str(fault) if name == message.name else f"{name}: {fault}" for name, fault in beside]
    return found[:MOST_PROBLEMS], Registry.of(message)


def _configured(source: T | None, key: str, what: str) -> T:
    if source is None:
        raise OstiaryError(
            Reason.FAILED_PRECONDITION,
            f"This gateway has no folder of {what}: name one as `{key}` in its gateway.yaml",
        )
    return source


async def _finished(work: Awaitable[T]) -> T:
    """What `work` gives. A caller who hangs up does not leave a change half made and unlocked."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
