"""Promise 17: rollback in seconds.

The keeper (with kopf, as it ships) on a cluster in this process, with simulated pods. Two gateways take
routes and pods from the cluster as gateways do, and send checks by them; a check fails where it finds no pod
that is ready. In every other trial the version to go back to runs with one pod of three.
"""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.keeper.stage import Stage, stage
from bench.promises.contract import Outcome, Promise
from ostiary.v1.config_pb2 import TrafficRoute
from ostiary_gateway.brand_source import no_brands
from ostiary_gateway.kubernetes.route import KubernetesRouteSource
from ostiary_gateway.kubernetes.sources import kubernetes_sources
from ostiary_gateway.list_source import no_lists
from ostiary_gateway.routing import choose
from ostiary_gateway.settings import KubernetesSettings
from ostiary_operator.cluster import kinds
from ostiary_operator.sandbox.controllers.kubelet import Timings

ROLLBACKS = 100
BAR_SECONDS = 2.0
REPLICAS = 3
_LOAD_SECONDS = 0.3
_EVERY = 0.005
_TOLD = 5
"""How many of the checks that failed are told of."""
_GATEWAYS, _RATE, _POD_RATE = 2, 14.0, 10.0
"""Checks a second that come to each gateway, as they say, and that a pod carries, as ModelVersion says."""


@dataclass
class Sender:
    """Sends checks through a gateway's route.

    `failures`: what was wrong with each check that failed; `excess`: shares that rose above what ready pods
    carry.
    """

    cluster: Stage
    source: KubernetesRouteSource
    rng: random.Random
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    excess: list[str] = field(default_factory=list)
    shares: Mapping[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Until cancelled."""
        epoch = -1
        while True:
            route = self.source.route()
            if route.epoch != epoch:
                epoch = route.epoch
                self._changed(route)
            self._send(route)
            await asyncio.sleep(_EVERY)

    def has_pods(self) -> bool:
        """Whether the gateway knows pods of each version that gets checks."""
        return all(one.endpoints for one in self.source.route().versions if one.weight)

    def has_all(self, version: str) -> bool:
        """Whether every check goes to a version."""
        return {one.name: one.weight for one in self.source.route().versions if one.weight} == {
            version: 10_000
        }

    def _changed(self, route: TrafficRoute) -> None:
        before = self.shares
        self.shares = {one.name: one.weight for one in route.versions if one.weight}
        for version, share in self.shares.items():
            carries = self.cluster.ready(version) * _POD_RATE / (_GATEWAYS * _RATE) * 10_000
            if before and share > max(before.get(version, 0), carries):
                self.excess.append(f"{version}: {share} of {carries:.0f}")

    def _send(self, route: TrafficRoute) -> None:
        version = choose(route, "", "", self.rng.randrange(10_000))
        self.sent += 1
        endpoints = [one.address.partition(":")[0] for one in version.endpoints]
        if not endpoints:
            self.failures.append(f"{version.name} at {self.shares}, epoch {route.epoch}: no endpoint")
        elif (address := self.rng.choice(endpoints)) not in (answering := self._answering(version.name)):
            self.failures.append(
                f"{version.name} at {self.shares}, epoch {route.epoch}: {address} of {endpoints} does not "
                f"answer, {sorted(answering)} do"
            )

    def _answering(self, version: str) -> set[str]:
        """Addresses of the pods of a version that serve: until they have ended."""
        return {
            pod["status"]["podIP"]
            for pod in self.cluster.all(kinds.PODS)
            if (pod["metadata"].get("labels") or {}).get(kinds.VERSION) == version
            and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"]["conditions"])
        }


@asynccontextmanager
async def _gateway(cluster: Stage, name: str) -> AsyncIterator[Sender]:
    settings = KubernetesSettings.model_validate(
        {"route": "qwen", "name": name, "kubeconfig": cluster.cluster.settings.folder / "kubeconfig"}
    )
    async with kubernetes_sources(settings, {}, no_lists, no_brands, lambda: _RATE) as sources:
        assert sources.route is not None
        sender = Sender(cluster, sources.route, random.Random(name))
        # Callers come once the model can be asked; nothing is rolled before.
        await cluster.until(sender.has_pods)
        task = asyncio.create_task(sender.run(), name=name)
        try:
            yield sender
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@dataclass
class Seen:
    """Of all trials. `warm`: seconds from an order's creation to all traffic on the old version."""

    warm: list[float] = field(default_factory=list)
    cold: int = 0
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    excess: list[str] = field(default_factory=list)


async def tried(seconds: float, most: int = ROLLBACKS) -> Seen:
    """Roll forward and back, again and again, for so long or so often."""
    ends = time.monotonic() + seconds
    seen = Seen()
    with tempfile.TemporaryDirectory() as folder:
        timings = Timings(pull=0.0, load=_LOAD_SECONDS, stop=0.3)
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(stage(Path(folder), timings=timings))
            for name in ("v1", "v2"):
                await cluster.version(name, checksPerSecond=_POD_RATE)
            await cluster.deployment("v1", **_spec("Full"))
            await stack.enter_async_context(cluster.keeper())
            await cluster.until(lambda: cluster.weights() == {"v1": 10_000})
            senders = [
                await stack.enter_async_context(_gateway(cluster, f"gw-{index}"))
                for index in range(_GATEWAYS)
            ]
            await cluster.until(lambda: _stable(cluster) == "v1")
            while len(seen.warm) + seen.cold < most and time.monotonic() < ends:
                await _trial(cluster, senders, seen)
            for sender in senders:
                seen.sent += sender.sent
                seen.failures += sender.failures
                seen.excess += sender.excess
    return seen


async def _trial(cluster: Stage, senders: list[Sender], seen: Seen) -> None:
    """Version v2 gets everything, and an order takes it back."""
    number = len(seen.warm) + seen.cold
    is_warm = number % 2 == 0
    await cluster.request("retry", f"r{number}")
    await cluster.deployment("v2", **_spec("Full" if is_warm else "Reduced"))
    kept = REPLICAS if is_warm else 1
    await cluster.until(lambda: _stable(cluster) == "v2" and cluster.replicas("v1") == kept)
    await cluster.until(lambda: cluster.ready("v1") == kept)
    began = time.monotonic()
    await cluster.order(f"back-{number}")
    await cluster.until(lambda: all(sender.has_all("v1") for sender in senders))
    if is_warm:
        seen.warm.append(time.monotonic() - began)
    else:
        seen.cold += 1
    await cluster.until(lambda: cluster.status()["stable"] == "v1")
    await cluster.remove(kinds.MODEL_OVERRIDES, f"back-{number}")
    await cluster.until(lambda: cluster.status()["phase"] == "Degraded")


def _stable(cluster: Stage) -> str:
    """The version that has everything, where nothing is on its way."""
    status = cluster.status()
    return str(status.get("stable")) if status.get("phase") == "Healthy" else ""


def _spec(mode: str) -> dict[str, Any]:
    return {
        "replicas": REPLICAS,
        "strategy": {"canary": {"steps": [{"setWeight": 3_000}]}},
        "warm": {"versions": 1, "mode": mode, "replicas": 1},
    }


def run(seconds: float) -> Outcome:
    """Roll forward and back."""
    logging.getLogger("aiohttp.access").setLevel(logging.ERROR)
    seen = asyncio.run(tried(seconds * 0.9))
    worst = max(seen.warm, default=float("inf"))
    what = (
        f"s, the slowest of {len(seen.warm)} rollbacks to a warm version; {len(seen.failures)} of "
        f"{seen.sent} checks failed; shares above what ready pods carry: {len(seen.excess)}, with "
        f"{seen.cold} rollbacks to a version that was not warm"
    )
    if wrong := seen.failures + seen.excess:
        what += "; " + "; ".join(wrong[:_TOLD])
    met = worst <= BAR_SECONDS and not seen.failures and not seen.excess
    return Outcome(len(seen.warm) + seen.cold, ROLLBACKS, round(worst, 3), BAR_SECONDS, what, met)


PROMISE = Promise(17, "Rollback in seconds", run)
