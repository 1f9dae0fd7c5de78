"""Wires a gateway together. The only place that knows which class stands behind which contract."""

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import metrics

from ostiary.tlog.keys import load_log_key
from ostiary.v1 import admin_pb2, audit_pb2, moderation_pb2
from ostiary.wire.allocator import share_heaps
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.inspection import start as start_inspection
from ostiary.wire.server import Server, ServerBuilder
from ostiary_gateway.admin import AdminService
from ostiary_gateway.admission import AdaptiveAdmission, AdmissionLimits
from ostiary_gateway.admission.concurrency import LimiterSettings
from ostiary_gateway.admission.memory import MemoryGauge
from ostiary_gateway.arrivals import Arrivals
from ostiary_gateway.background import ended
from ostiary_gateway.brand_source import EditableBrandSource, FolderBrandSource, no_brands
from ostiary_gateway.bulk.service import BulkService
from ostiary_gateway.bulk.worker import BulkTimes, BulkWorker
from ostiary_gateway.check import Checker, CheckLimits
from ostiary_gateway.dns_route import DnsRouteSource
from ostiary_gateway.evidence import EvidenceStore
from ostiary_gateway.evidence_opening import key_file, open_evidence
from ostiary_gateway.exports.service import ExportService
from ostiary_gateway.galleries import Galleries
from ostiary_gateway.hashes.in_force import HashLists
from ostiary_gateway.list_source import FolderListSource, no_lists
from ostiary_gateway.metrics import SCOPE, GatewayMetrics
from ostiary_gateway.pods import PodClient, PreparedPods
from ostiary_gateway.policy_source import EditablePolicySource, FilePolicySource, PolicySource
from ostiary_gateway.rbac.authorizer import FileAuthorizer
from ostiary_gateway.reuse import ObservationReuse
from ostiary_gateway.reuse.cache import ObservationCache
from ostiary_gateway.reuse.lookers import Lookers
from ostiary_gateway.review.addresses import CallbackGuard
from ostiary_gateway.review.aftermath import OverturnAftermath
from ostiary_gateway.review.callbacks import Callbacks
from ostiary_gateway.review.desk import Desk
from ostiary_gateway.review.desk_service import DeskService
from ostiary_gateway.review.erasing import Eraser, EraseService
from ostiary_gateway.review.examples import ExampleFolder
from ostiary_gateway.review.golden import golden_source, no_golden
from ostiary_gateway.review.retention import Retention
from ostiary_gateway.review.service import AuditService
from ostiary_gateway.review.viewing import EvidenceView
from ostiary_gateway.route_source import FileRouteSource, RouteSource
from ostiary_gateway.rules.pack import shipped
from ostiary_gateway.service import ModerationService
from ostiary_gateway.settings import (
    AdmissionSettings,
    GatewaySettings,
    ReuseSettings,
)
from ostiary_gateway.shadow import Shadow
from ostiary_gateway.store.database_cases import DatabaseCases, open_cases
from ostiary_gateway.store.database_erasures import open_erasures
from ostiary_gateway.store.database_outbox import open_outbox
from ostiary_gateway.store.database_queue import open_queue
from ostiary_gateway.store.database_recorder import DatabaseRecorder
from ostiary_gateway.store.opening import open_recorder
from ostiary_gateway.store.sqlite_indexer import indexing

if TYPE_CHECKING:
    from ostiary_gateway.kubernetes.sources import KubernetesSources

T = TypeVar("T")
_MODERATION = moderation_pb2.DESCRIPTOR.services_by_name["ModerationService"]
_AUDIT = audit_pb2.DESCRIPTOR.services_by_name["AuditService"]
_ADMIN = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]
# Pods that are there have their galleries by then; those that are not get them when they come.
_FIRST_PUSH_SECONDS = 5.0
# How long what another gateway has erased may be in this one's memory.
_ERASING_INTERVAL = 2.0
_RETENTION_INTERVAL = 3600.0


@asynccontextmanager
async def gateway(settings: GatewaySettings) -> AsyncIterator[Server]:
    """A gateway that serves; drained and closed on leaving.

    Raises:
        ValueError: something that it needs is missing or bad; the message says what to do.
    """
    share_heaps()
    async with AsyncExitStack() as stack:
        credentials = CredentialSource(settings.tls.files())
        authorizer = FileAuthorizer(settings.roles)
        builder = ServerBuilder(
            address=settings.listen,
            health_address=settings.health,
            credentials=credentials,
            authorizer=authorizer,
        )
        await stack.enter_async_context(builder.announced(_MODERATION, _AUDIT, _ADMIN))
        lists = FolderListSource(settings.lists, time.monotonic) if settings.lists else None
        arrivals = Arrivals(time.monotonic)
        listed = lists.lists if lists else no_lists
        prepared = PreparedPods()
        route, policy, brands = await _sources(stack, settings, listed, arrivals.per_second, prepared)
        # What is asked of pods beside checks goes over connections apart from those of checks.
        beside = PodClient(credentials, random.Random())  # noqa: S311 - which pod is drawn need not be secret
        stack.push_async_callback(beside.close)
        counts = GatewayMetrics(metrics.get_meter(SCOPE), arrivals.one)
        file = key_file(settings.evidence)
        recorder = await stack.enter_async_context(_recorder(settings))
        evidence = await stack.enter_async_context(open_evidence(settings.evidence, file, settings.store))
        cases = await stack.enter_async_context(open_cases(settings.store, settings.log.origin))
        await stack.enter_async_context(indexing(settings.store))
        reuse = _reuse(stack, settings.reuse, Lookers(route, beside), evidence, counts)
        record = _Record(recorder, cases, evidence, reuse)
        service, bulk = await _moderation_services(
            stack, settings, credentials, route, policy, record, counts, prepared
        )
        galleries = await _galleries(stack, beside, route, brands, prepared) if brands else None
        audit = AuditService(cases, cases, settings.review.rules())
        aftermath = _aftermath(stack, settings, record, policy, lists)
        desk = await _desk(stack, settings, record, aftermath)
        view = EvidenceView(cases, evidence, recorder)
        erase = await _erase(stack, settings, record, aftermath)
        admin = AdminService(policy, lists, brands, galleries)
        builder.add_service(
            _MODERATION,
            {**service.handlers(), **bulk.handlers()},
        )
        builder.add_service(
            _AUDIT,
            {
                **audit.handlers(),
                **desk.handlers(),
                **view.handlers(),
                **erase.handlers(),
                **ExportService(cases).handlers(),
            },
        )
        builder.add_service(_ADMIN, admin.handlers())
        server = await builder.start()
        stack.push_async_callback(server.drain, settings.drain_seconds)
        if settings.inspect:
            inspection = await start_inspection(settings.inspect, credentials, authorizer, server)
            stack.push_async_callback(inspection.drain, 0)
        stack.callback(bulk.close)
        server.set_serving(True)
        yield server


@dataclass(frozen=True)
class _Record:
    """What keeps decisions, what was looked at, and what was seen."""

    recorder: DatabaseRecorder
    cases: DatabaseCases
    evidence: EvidenceStore
    reuse: ObservationReuse | None

    def forget(self, tenant: str, check_id: str) -> None:
        """Let nothing that was seen of a check be taken over any more."""
        if self.reuse is not None:
            self.reuse.purge(tenant, check_id)


async def _erase(
    stack: AsyncExitStack, settings: GatewaySettings, record: _Record, aftermath: OverturnAftermath
) -> EraseService:
    """Erases; what was begun and not finished is gone on with."""
    erasures = await stack.enter_async_context(open_erasures(settings.store))
    eraser = Eraser(record.cases, record.recorder, erasures, record.evidence, record.forget, aftermath.forget)
    erasing = asyncio.create_task(eraser.run(_ERASING_INTERVAL), name="erasing")
    stack.push_async_callback(ended, erasing)
    if settings.retention:
        retention = Retention([each.keep() for each in settings.retention], record.cases, eraser)
        sweeping = asyncio.create_task(retention.run(_RETENTION_INTERVAL), name="retention")
        stack.push_async_callback(ended, sweeping)
    return EraseService(eraser)


async def _moderation_services(
    stack: AsyncExitStack,
    settings: GatewaySettings,
    credentials: CredentialSource,
    route: RouteSource,
    policy: PolicySource,
    record: _Record,
    counts: GatewayMetrics,
    prepared: PreparedPods,
) -> tuple[ModerationService, BulkService]:
    recorder, evidence = record.recorder, record.evidence
    # Which pods are drawn need not be secret, only spread.
    rng = random.Random()  # noqa: S311
    pods = PodClient(credentials, rng, prepared=prepared)
    stack.push_async_callback(pods.close)
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
        reuse=record.reuse,
        judged=counts.judged,
        limits=CheckLimits(look_seconds=settings.look_seconds),
    )
    admission = _admission(settings.admission, counts)
    counts.watch(admission)
    queue = await stack.enter_async_context(open_queue(settings.store, settings.bulk.queued))
    times = BulkTimes(most=settings.bulk.at_once, lease=2 * settings.look_seconds + 60)
    worker = BulkWorker(queue, checker, admission, recorder, evidence, time.monotonic, times)
    stack.push_async_callback(ended, asyncio.create_task(worker.run(), name="bulk"))
    bulk = BulkService(queue, recorder, evidence, worker.wake, record.cases)
    return ModerationService(checker, admission, recorder, evidence), bulk


def _recorder(settings: GatewaySettings) -> AbstractAsyncContextManager[DatabaseRecorder]:
    return open_recorder(
        store=settings.store,
        log_dir=settings.log.dir,
        log_key=settings.log.key,
        origin=settings.log.origin,
    )


def _aftermath(
    stack: AsyncExitStack,
    settings: GatewaySettings,
    record: _Record,
    policy: PolicySource,
    lists: FolderListSource | None,
) -> OverturnAftermath:
    """What follows from rulings."""
    folder, cases = settings.review.examples, record.cases
    examples = ExampleFolder(folder, record.evidence) if folder else None
    aftermath = OverturnAftermath(cases, cases, record.recorder, policy, lists, examples)
    stack.push_async_callback(ended, asyncio.create_task(aftermath.run(), name="aftermath"))
    return aftermath


async def _desk(
    stack: AsyncExitStack,
    settings: GatewaySettings,
    record: _Record,
    aftermath: OverturnAftermath,
) -> DeskService:
    """The review desk."""
    review = settings.review
    guard = CallbackGuard(review.callbacks.rules())
    try:
        context = ssl.create_default_context(cafile=review.callbacks.ca)
    except OSError as error:
        raise ValueError(f"{review.callbacks.ca}: no authorities can be read: {error}") from error
    outbox = await stack.enter_async_context(open_outbox(settings.store))
    callbacks = Callbacks(outbox, record.recorder, guard, load_log_key(settings.log.key), context)
    stack.push_async_callback(ended, asyncio.create_task(callbacks.run(), name="callbacks"))
    golden = golden_source(review.golden, time.monotonic) if review.golden else no_golden
    desk = Desk(record.cases, record.recorder, review.rules(), aftermath, golden=golden)
    return DeskService(desk, guard)


async def _sources(
    stack: AsyncExitStack,
    settings: GatewaySettings,
    lists: Callable[[], HashLists],
    checks_per_second: Callable[[], float],
    prepared: PreparedPods,
) -> tuple[RouteSource, EditablePolicySource, EditableBrandSource | None]:
    """Route, policy and brand registries, each from files or from a cluster."""
    brands: EditableBrandSource | None = None
    if settings.brands:
        brands = FolderBrandSource(settings.brands, time.monotonic)
    held = brands.brands if brands else no_brands
    found: KubernetesSources | None = None
    if settings.kubernetes:
        # A gateway with files needs no client of Kubernetes.
        from ostiary_gateway.kubernetes.sources import kubernetes_sources

        found = await stack.enter_async_context(
            kubernetes_sources(settings.kubernetes, shipped(), lists, held, checks_per_second, prepared)
        )
        brands = found.brands or brands
    policy: EditablePolicySource
    if settings.policy is not None:
        policy = FilePolicySource(
            settings.policy, shipped(), time.monotonic, lists, brands.brands if brands else no_brands
        )
    else:
        policy = _there(found.policy if found else None)
    written: RouteSource
    if settings.route is not None:
        written = FileRouteSource(settings.route, time.monotonic)
    else:
        written = _there(found.route if found else None)
    route = DnsRouteSource(written)
    await route.refresh()
    following = asyncio.create_task(route.follow())
    stack.callback(following.cancel)
    return route, policy, brands


def _there(found: T | None) -> T:
    """What settings that were checked promise."""
    if found is None:
        raise ValueError("give route and policy as files, or as kubernetes.route and kubernetes.policy")
    return found


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


def _reuse(
    stack: AsyncExitStack,
    settings: ReuseSettings | None,
    lookers: Lookers,
    evidence: EvidenceStore,
    counts: GatewayMetrics,
) -> ObservationReuse | None:
    """What pods saw of identical work, while they say what they look with."""
    if settings is None:
        return None
    cache = ObservationCache(settings.limits())
    counts.watch_cache(cache)
    stack.push_async_callback(ended, asyncio.create_task(lookers.run(), name="lookers"))
    return ObservationReuse(cache, lookers, evidence, counts.reused)


async def _galleries(
    stack: AsyncExitStack,
    pods: PodClient,
    route: RouteSource,
    brands: EditableBrandSource,
    prepared: PreparedPods,
) -> Galleries:
    """Looks after the pods' galleries."""
    galleries = Galleries(route, brands, pods, prepared=prepared)
    if brands.brands().by_name and (first := galleries.begin_round()):
        await asyncio.wait(first, timeout=_FIRST_PUSH_SECONDS)
    looking = asyncio.create_task(galleries.run(), name="galleries")
    stack.push_async_callback(ended, looking)
    return galleries
