"""Wires a gateway together. The only place that knows which class stands behind which contract."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from opentelemetry import metrics

from ostiary.v1 import admin_pb2, audit_pb2, moderation_pb2
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.inspection import start as start_inspection
from ostiary.wire.server import Server, ServerBuilder
from ostiary_gateway.admin import AdminService
from ostiary_gateway.admission import AdaptiveAdmission, AdmissionLimits
from ostiary_gateway.admission.concurrency import LimiterSettings
from ostiary_gateway.admission.memory import MemoryGauge
from ostiary_gateway.brand_source import BrandSource, FolderBrandSource, no_brands
from ostiary_gateway.check import Checker, CheckLimits
from ostiary_gateway.dns_route import DnsRouteSource
from ostiary_gateway.galleries import Galleries
from ostiary_gateway.list_source import FolderListSource, no_lists
from ostiary_gateway.metrics import SCOPE, GatewayMetrics
from ostiary_gateway.pods import PodClient
from ostiary_gateway.policy_source import FilePolicySource, PolicySource
from ostiary_gateway.rbac.authorizer import FileAuthorizer
from ostiary_gateway.route_source import FileRouteSource, RouteSource
from ostiary_gateway.rules.pack import shipped
from ostiary_gateway.service import ModerationService
from ostiary_gateway.settings import AdmissionSettings, EvidenceSettings, GatewaySettings
from ostiary_gateway.shadow import Shadow
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.opening import open_recorder
from ostiary_gateway.store.sealing import load_evidence_key

# Pods that are there have their galleries by then; those that are not get them when they come.
_FIRST_PUSH_SECONDS = 5.0


@asynccontextmanager
async def gateway(settings: GatewaySettings) -> AsyncIterator[Server]:
    """A gateway that serves; drained and closed on leaving.

    Raises:
        ValueError: something that it needs is missing or bad; the message says what to do.
    """
    async with AsyncExitStack() as stack:
        credentials = CredentialSource(settings.tls.files())
        authorizer = FileAuthorizer(settings.roles)
        builder = ServerBuilder(
            address=settings.listen,
            health_address=settings.health,
            credentials=credentials,
            authorizer=authorizer,
        )
        route = await _route(stack, settings)
        lists = FolderListSource(settings.lists, time.monotonic) if settings.lists else None
        brands = FolderBrandSource(settings.brands, time.monotonic) if settings.brands else None
        policy = FilePolicySource(
            settings.policy,
            shipped(),
            time.monotonic,
            lists.lists if lists else no_lists,
            brands.brands if brands else no_brands,
        )
        service = await _moderation_service(stack, settings, credentials, route, policy)
        galleries = await _galleries(stack, credentials, route, brands) if brands else None
        admin = AdminService(policy, lists, brands, galleries)
        builder.add_service(
            moderation_pb2.DESCRIPTOR.services_by_name["ModerationService"], service.handlers()
        )
        builder.add_service(audit_pb2.DESCRIPTOR.services_by_name["AuditService"], {})
        builder.add_service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"], admin.handlers())
        server = await builder.start()
        stack.push_async_callback(server.drain, settings.drain_seconds)
        if settings.inspect:
            inspection = await start_inspection(settings.inspect, credentials, authorizer, server)
            stack.push_async_callback(inspection.drain, 0)
        server.set_serving(True)
        yield server


async def _moderation_service(
    stack: AsyncExitStack,
    settings: GatewaySettings,
    credentials: CredentialSource,
    route: RouteSource,
    policy: PolicySource,
) -> ModerationService:
    evidence = _evidence(settings.evidence)
    recorder = await stack.enter_async_context(
        open_recorder(
            store=settings.store,
            log_dir=settings.log.dir,
            log_key=settings.log.key,
            origin=settings.log.origin,
        )
    )
    # Which pods are drawn need not be secret, only spread.
    rng = random.Random()  # noqa: S311
    pods = PodClient(credentials, rng)
    stack.push_async_callback(pods.close)
    counts = GatewayMetrics(metrics.get_meter(SCOPE))
    shadow = Shadow(pods, rng, counts.compared)
    stack.push_async_callback(shadow.close)
    checker = Checker(
        routes=route,
        pods=pods,
        policies=policy,
        recorder=recorder,
        evidence=evidence,
        rng=rng,
        shadow=shadow,
        judged=counts.judged,
        limits=CheckLimits(look_seconds=settings.look_seconds),
    )
    admission = _admission(settings.admission, counts)
    counts.watch(admission)
    return ModerationService(checker, admission, recorder, evidence)


async def _route(stack: AsyncExitStack, settings: GatewaySettings) -> DnsRouteSource:
    route = DnsRouteSource(FileRouteSource(settings.route, time.monotonic))
    await route.refresh()
    following = asyncio.create_task(route.follow())
    stack.callback(following.cancel)
    return route


def _admission(settings: AdmissionSettings, counts: GatewayMetrics) -> AdaptiveAdmission:
    most, usual = settings.max_checks, LimiterSettings()
    limits = AdmissionLimits(
        LimiterSettings(initial=min(most, usual.initial), least=min(most, usual.least), most=most),
        settings.max_bytes,
        settings.max_wait,
        quotas=settings.quotas(),
    )
    memory = MemoryGauge(settings.max_memory) if settings.max_memory else None
    return AdaptiveAdmission(limits, memory, refused=counts.refused)


async def _galleries(
    stack: AsyncExitStack, credentials: CredentialSource, route: RouteSource, brands: BrandSource
) -> Galleries:
    """Looks after the pods' galleries, over connections apart from those of checks."""
    pods = PodClient(credentials, random.Random())  # noqa: S311 - as above
    stack.push_async_callback(pods.close)
    galleries = Galleries(route, brands, pods)
    if brands.brands().by_name and (first := galleries.begin_round()):
        await asyncio.wait(first, timeout=_FIRST_PUSH_SECONDS)
    looking = asyncio.create_task(galleries.run(), name="galleries")
    stack.push_async_callback(_ended, looking)
    return galleries


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _evidence(settings: EvidenceSettings) -> DirectoryEvidence:
    try:
        return DirectoryEvidence(settings.dir, load_evidence_key(settings.key))
    except OSError as error:
        why = f"{settings.key} cannot be read ({error.strerror}): make it with `ostiary gateway init`"
        raise ValueError(why) from error
