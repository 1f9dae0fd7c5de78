"""Puts together what a gateway takes from a cluster."""

import asyncio
import random
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from opentelemetry import metrics

from ostiary_gateway.background import ended
from ostiary_gateway.brands.in_force import Brands
from ostiary_gateway.hashes.in_force import HashLists
from ostiary_gateway.kubernetes.acceptance import Acceptance
from ostiary_gateway.kubernetes.api_server import (
    POLICIES,
    REGISTRIES,
    ROUTES,
    SLICES,
    ApiServer,
    Resource,
    connected,
)
from ostiary_gateway.kubernetes.brands import KubernetesBrandSource
from ostiary_gateway.kubernetes.last_known import Keep, LastKnown, keep_nothing
from ostiary_gateway.kubernetes.lease import AckLease
from ostiary_gateway.kubernetes.pods import MODEL
from ostiary_gateway.kubernetes.policy import KubernetesPolicySource
from ostiary_gateway.kubernetes.route import KubernetesRouteSource
from ostiary_gateway.kubernetes.watching import Watching
from ostiary_gateway.metrics import SCOPE, WatchFailures, watch_staleness
from ostiary_gateway.pods import PreparedPods
from ostiary_gateway.rules.pack import RulePack
from ostiary_gateway.settings import KubernetesSettings

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 0.05
# An API server that has not answered by then is taken to be away.
_FIRST_ANSWER_SECONDS = 3.0
_SAY_SECONDS = 10.0
_CONFIRM_SECONDS = 30.0


@dataclass(frozen=True)
class KubernetesSources:
    """What there is from the cluster; None: it comes from files."""

    route: KubernetesRouteSource | None
    policy: KubernetesPolicySource | None
    brands: KubernetesBrandSource | None


@asynccontextmanager
async def kubernetes_sources(
    settings: KubernetesSettings,
    packs: Mapping[str, RulePack],
    lists: Callable[[], HashLists],
    brands: Callable[[], Brands],
    checks_per_second: Callable[[], float] = lambda: 0.0,
    prepared: PreparedPods | None = None,
) -> AsyncIterator[KubernetesSources]:
    """The sources, each with something good in force, followed until the context is left. Then the gateway's
    Lease is removed: leave it when no check is taken any more.

    Args:
        settings: which objects, and where.
        packs: rule packs by name.
        lists: hash lists in force beside the policy.
        brands: brand registries in force beside the policy, where they come from files.
        checks_per_second: that come in here, for the Lease.
        prepared: pods that have what checks need there; None: all.

    Raises:
        ValueError: there is no cluster, or within `wait_seconds` nothing good was found in it; the message
            says what is missing.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            connected(settings.namespace, settings.kubeconfig, settings.context)
        )
        kept = None
        if settings.last_known is not None:
            kept = LastKnown(settings.last_known, server.namespace, settings.route)
        follow = _Following(stack, server)
        acceptance = Acceptance(server)
        follow.run(acceptance.run(), "acceptance")
        keep = kept.keep if kept else keep_nothing
        route = None
        if settings.route is not None:
            lease = AckLease(server, settings.name or own_name(), checks_per_second)
            follow.run(lease.run(), "lease")
            route = KubernetesRouteSource(
                settings.route, settings.server_name, acceptance, lease.applied, keep, prepared
            )
            follow.watch(ROUTES, route.take_routes, fieldSelector=f"metadata.name={settings.route}")
            follow.watch(SLICES, route.take_slices, labelSelector=f"{MODEL}={settings.route}")
        sources = _sources(settings, packs, lists, brands, acceptance, follow, route, keep)
        if kept is not None:
            follow.run(kept.run(), "last known")
            follow.run(_confirm(kept, follow.watches), "last known, still")
        await _good(sources, follow.watches, settings.wait_seconds, kept)
        yield sources


class _Following:
    """Starts what runs beside the server, and ends it on leaving."""

    def __init__(self, stack: AsyncExitStack, server: ApiServer) -> None:
        self._stack = stack
        self._server = server
        # When gateways ask again need not be secret, only spread.
        self._rng = random.Random()  # noqa: S311
        meter = metrics.get_meter(SCOPE)
        self._failures = WatchFailures(meter)
        self.watches: list[Watching] = []
        watch_staleness(meter, self._stale)

    def _stale(self) -> Mapping[str, float]:
        ages = {watch.resource.plural: watch.stale for watch in self.watches}
        return {plural: age for plural, age in ages.items() if age is not None}

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._stack.push_async_callback(ended, asyncio.create_task(work, name=name))

    def watch(self, resource: Resource, changed: Callable[[Mapping[str, Any]], None], **select: str) -> None:
        watching = Watching(
            self._server,
            resource,
            changed,
            self._rng,
            select=select,
            failed=self._failures.failed,
        )
        self.watches.append(watching)
        self.run(watching.run(), f"watch {resource.plural}")


def _sources(
    settings: KubernetesSettings,
    packs: Mapping[str, RulePack],
    lists: Callable[[], HashLists],
    brands: Callable[[], Brands],
    acceptance: Acceptance,
    follow: _Following,
    route: KubernetesRouteSource | None,
    keep: Keep,
) -> KubernetesSources:
    policy = registries = None
    if settings.brands:
        registries = KubernetesBrandSource(acceptance, keep=keep)
        follow.watch(REGISTRIES, registries.take_registries)
        follow.run(registries.run(), "brand registries")
    if settings.policy is not None:
        beside = registries.brands if registries else brands
        policy = KubernetesPolicySource(settings.policy, packs, lists, beside, acceptance, keep)
        follow.watch(POLICIES, policy.take_policies, fieldSelector=f"metadata.name={settings.policy}")
    return KubernetesSources(route, policy, registries)


async def _good(
    sources: KubernetesSources, watches: list[Watching], seconds: float, kept: LastKnown | None
) -> None:
    """Waits until something good is in force of each: told by the API server, or else kept.

    Where it answers, what is missing is waited for `seconds`; where it does not, nobody can say what is.
    """
    wanted = [one for one in (sources.route, sources.policy, sources.brands) if one is not None]
    waited = silence = said = 0.0
    while any(one.problem for one in wanted) and waited < seconds:
        await asyncio.sleep(_LOOK_SECONDS)
        said += _LOOK_SECONDS
        if any(watch.silent for watch in watches):
            silence += _LOOK_SECONDS
        else:
            waited += _LOOK_SECONDS
        if kept is not None and silence >= _FIRST_ANSWER_SECONDS:
            await _restore(kept, watches)
            kept = None
        if said >= _SAY_SECONDS:
            said = 0.0
            _log.warning("waiting for the cluster", problem=_problems(sources, watches))
    if any(one.problem for one in wanted):
        raise ValueError(f"kubernetes: {_problems(sources, watches)}")


def _problems(sources: KubernetesSources, watches: list[Watching]) -> str:
    wanted = [one for one in (sources.route, sources.policy, sources.brands) if one is not None]
    unread = [watch.problem for watch in watches if watch.problem]
    return "; ".join(dict.fromkeys([*unread, *(one.problem for one in wanted if one.problem)]))


async def _restore(kept: LastKnown, watches: list[Watching]) -> None:
    """What was kept of the kinds that the API server has not told."""
    for watch in watches:
        if watch.listed or not watch.silent:
            continue
        found = await asyncio.to_thread(kept.read, watch.resource)
        if found is not None and not watch.listed:
            watch.restore(found.objects, found.at)
            age = round(watch.stale or 0.0)
            _log.warning(
                "the API server is away: took what was last known", of=watch.resource.plural, age=age
            )


async def _confirm(kept: LastKnown, watches: list[Watching]) -> None:
    """Says of what is kept, now and then, that it is still so, until cancelled."""
    while True:
        await asyncio.sleep(_CONFIRM_SECONDS)
        for watch in watches:
            if watch.listed and not watch.problem:
                with suppress(OSError):  # it then counts as older than it is
                    await asyncio.to_thread(kept.still, watch.resource)


def own_name() -> str:
    """The host's name, which in a cluster is the pod's; as objects may be called."""
    return re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower()).strip("-.") or "gateway"
