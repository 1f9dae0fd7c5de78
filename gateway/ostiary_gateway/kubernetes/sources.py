"""Puts together what a gateway takes from a cluster."""

import asyncio
import random
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

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
from ostiary_gateway.kubernetes.lease import AckLease
from ostiary_gateway.kubernetes.pods import MODEL
from ostiary_gateway.kubernetes.policy import KubernetesPolicySource
from ostiary_gateway.kubernetes.route import KubernetesRouteSource
from ostiary_gateway.kubernetes.watching import Watching
from ostiary_gateway.metrics import SCOPE, WatchFailures
from ostiary_gateway.rules.pack import RulePack
from ostiary_gateway.settings import KubernetesSettings

_LOOK_SECONDS = 0.05


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
) -> AsyncIterator[KubernetesSources]:
    """The sources, each with something good in force, followed until the context is left. Then the gateway's
    Lease is removed: leave it when no check is taken any more.

    Args:
        settings: which objects, and where.
        packs: rule packs by name.
        lists: hash lists in force beside the policy.
        brands: brand registries in force beside the policy, where they come from files.
        checks_per_second: that come in here, for the Lease.

    Raises:
        ValueError: there is no cluster, or within `wait_seconds` nothing good was found in it; the message
            says what is missing.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            connected(settings.namespace, settings.kubeconfig, settings.context)
        )
        follow = _Following(stack, server)
        acceptance = Acceptance(server)
        follow.run(acceptance.run(), "acceptance")
        lease = None
        if settings.route is not None:
            lease = AckLease(server, settings.name or own_name(), checks_per_second)
            follow.run(lease.run(), "lease")
        sources = _sources(settings, packs, lists, brands, acceptance, follow, lease)
        await _good(sources, follow.watches, settings.wait_seconds)
        yield sources


class _Following:
    """Starts what runs beside the server, and ends it on leaving."""

    def __init__(self, stack: AsyncExitStack, server: ApiServer) -> None:
        self._stack = stack
        self._server = server
        # When gateways ask again need not be secret, only spread.
        self._rng = random.Random()  # noqa: S311
        self._failures = WatchFailures(metrics.get_meter(SCOPE))
        self.watches: list[Watching] = []

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
    lease: AckLease | None,
) -> KubernetesSources:
    route = policy = registries = None
    if settings.route is not None and lease is not None:
        route = KubernetesRouteSource(settings.route, settings.server_name, acceptance, lease.applied)
        follow.watch(ROUTES, route.take_routes, fieldSelector=f"metadata.name={settings.route}")
        follow.watch(SLICES, route.take_slices, labelSelector=f"{MODEL}={settings.route}")
    if settings.brands:
        registries = KubernetesBrandSource(acceptance)
        follow.watch(REGISTRIES, registries.take_registries)
        follow.run(registries.run(), "brand registries")
    if settings.policy is not None:
        beside = registries.brands if registries else brands
        policy = KubernetesPolicySource(settings.policy, packs, lists, beside, acceptance)
        follow.watch(POLICIES, policy.take_policies, fieldSelector=f"metadata.name={settings.policy}")
    return KubernetesSources(route, policy, registries)


async def _good(sources: KubernetesSources, watches: list[Watching], seconds: float) -> None:
    """Waits until something good is in force of each."""
    wanted = [one for one in (sources.route, sources.policy, sources.brands) if one is not None]
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while any(one.problem for one in wanted):  # noqa: ASYNC110  # each has news of its own
                await asyncio.sleep(_LOOK_SECONDS)
    problems = [one.problem for one in wanted if one.problem]
    if problems:
        unread = [watch.problem for watch in watches if watch.problem]
        raise ValueError("kubernetes: " + "; ".join(dict.fromkeys([*unread, *problems])))


def own_name() -> str:
    """The host's name, which in a cluster is the pod's; as objects may be called."""
    return re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower()).strip("-.") or "gateway"
