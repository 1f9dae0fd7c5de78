"""A sandbox cluster with a ModelDeployment and a GPUAutoscaler, its keeper's looks taken one by one on a
clock that tests move, and a load that is what tests say.

Prometheus cannot run here: `Series` answers in its place, by the same label matchers.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.keeper.stage import TEMPLATE, Stage, gateway_lease, stage
from ostiary_operator.analysis.sequential import Moments
from ostiary_operator.cluster import kinds
from ostiary_operator.cluster.api import Api, ApiFailure, configured, connected
from ostiary_operator.cluster.carrying import Carrier
from ostiary_operator.cluster.decision_file import DecisionFile
from ostiary_operator.cluster.keeper import Keeper
from ostiary_operator.cluster.mirror import Mirror
from ostiary_operator.cluster.prometheus import Newest, Unreachable
from ostiary_operator.cluster.scaler import Scaler
from ostiary_operator.cluster.seeing import Sightings
from ostiary_operator.cluster.version_objects import read_template

Json = dict[str, Any]
KEY = ("default", "scaled")
GPU = "DCGM_FI_DEV_GPU_UTIL"
_MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')


class Series:
    """Series of a Prometheus server, newest samples only."""

    selector = 'job="gateways"'

    def __init__(self) -> None:
        self.known: list[Newest] = []
        self.broken = False

    async def newest(self, labels: str, seconds: float, at: float) -> Sequence[Newest]:
        """See Source."""
        if self.broken:
            raise Unreachable("http://prometheus: no answer: refused")
        wanted = _MATCHER.findall(labels)
        return [
            one
            for one in self.known
            if one.at > at - seconds
            and all(
                re.fullmatch(value if how == "=~" else re.escape(value), one.labels.get(name, ""))
                for name, how, value in wanted
            )
        ]

    async def numbers(self, query: str, since: float, until: float, every: float) -> Sequence[float]:
        """Nothing is analysed here."""
        raise Unreachable(query)

    async def moments(
        self, figure: str, version: str, since: float, until: float, arm: str = ""
    ) -> Moments | None:
        """Nothing is analysed here."""
        raise Unreachable(figure)


class Site:
    """One version at a time has the load that `rate` says, in checks a second; pods are `busy` per cent."""

    def __init__(self, stage: Stage, api: Api, log: Path) -> None:
        self.stage = stage
        self.now = time.time()
        self.rate = 0.0
        self.late = 0.0
        self.refused = 0.0
        self.waiting = 0.0
        self.busy = 50.0
        self.wrong: Callable[[Newest], Newest | None] = lambda one: one
        self.series = Series()
        self.log = log
        self._api = api
        self._judged: dict[str, float] = {}
        self._tick = 0
        self.restart()

    def restart(self) -> None:
        """Another keeper, which knows what is in the cluster and nothing else."""
        self.mirror, sightings = Mirror(), Sightings()
        self._sightings = sightings
        carrier = Carrier(self._api, self.mirror, read_template(TEMPLATE), lambda: None, lambda _: None)
        self._keeper = Keeper(self.mirror, sightings, carrier, lambda: self.now)
        self.scaler = Scaler(
            self.mirror, sightings, carrier, self.series, lambda: self.now, DecisionFile(self.log)
        )

    async def autoscaler(self, name: str = "scaled", version: str = "v1", **spec: Any) -> None:
        """Of 20 checks/s a pod, with a cold start of 30 s."""
        points = [{"concurrency": 1, "checksPerSecond": 5.0}, {"concurrency": 32, "checksPerSecond": 20.0}]
        stock = {
            "scaleTargetRef": {"name": version},
            "maxReplicas": 8,
            "capacity": {"points": points, "coldStartSeconds": 30},
            "metrics": [{"type": "Demand"}],
        }
        await self.stage.put(kinds.GPU_AUTOSCALERS, {"metadata": {"name": name}, "spec": {**stock, **spec}})

    async def know(self) -> None:
        """Gateways say that they have applied the route, and the keeper sees all that there is."""
        self._tick += 1
        route = self.stage.find(kinds.TRAFFIC_ROUTES, "qwen")
        acked = {"qwen": int(route["spec"]["epoch"])} if route else {}
        rates = {"qwen": self.rate}
        annotations = {kinds.ACKED: json.dumps(acked), kinds.RATES: json.dumps(rates)}
        renewed = (
            f"2026-01-01T{self._tick // 3600:02}:{self._tick // 60 % 60:02}:{self._tick % 60:02}.000000Z"
        )
        await self.stage.put(kinds.LEASES, gateway_lease("gw-1", annotations, renewed))
        for kind in kinds.WATCHED:
            objects, version = await self._api.every(kind, "default")
            self.mirror.listed(kind, "default", objects, version)
            if kind == kinds.LEASES:
                for one in objects:
                    self._sightings.note(one, self.now)

    async def roll(self) -> None:
        """The keeper's looks at the ModelDeployment, until there is nothing more to do."""
        for _ in range(40):
            await self.know()
            before = self._versions()
            await self._keeper.look(("default", "qwen"))
            await self.settled()
            if self._versions() == before:
                return

    def _versions(self) -> list[object]:
        kept = (kinds.TRAFFIC_ROUTES, kinds.DEPLOYMENTS)
        return [one["spec"] for kind in kept for one in self.stage.all(kind)]

    async def settled(self) -> None:
        """Every Deployment has the pods that it asks for, and they are ready."""
        await self.stage.until(
            lambda: all(
                one["spec"]["replicas"] == self.stage.ready(one["metadata"]["name"]) == self._pods(one)
                for one in self.stage.all(kinds.DEPLOYMENTS)
            )
        )

    def _pods(self, deployment: Json) -> int:
        name = deployment["metadata"]["name"]
        return sum(kinds.labels(pod).get(kinds.VERSION) == name for pod in self.stage.all(kinds.PODS))

    def scrape(self, seconds: float) -> None:
        """Time passes, checks come by the route's weights, and all is measured."""
        self.now += seconds
        taken, found = self.now - 1.0, []
        for version, weight in self.stage.weights().items():
            self._judged[version] = self._judged.get(version, 1000.0) + self.rate * seconds * weight / 10_000
            labels = {"pod": "gw-1", "job": "gateways", "version": version, "verdict": "ALLOW"}
            judged = self._judged[version]
            found += [
                Newest({"__name__": "moderation_checks_total", **labels}, judged, taken),
                *(
                    Newest(
                        {"__name__": "moderation_check_duration_seconds_bucket", "le": le, **labels}, n, taken
                    )
                    for le, n in (("5.0", judged - self.late), ("+Inf", judged))
                ),
            ]
        labels = {"pod": "gw-1", "job": "gateways"}
        refused = {"__name__": "moderation_admission_refusals_total", "error_type": "OVERLOADED", **labels}
        found.append(Newest(refused, self.refused, taken))
        found.append(Newest({"__name__": "moderation_admission_waiting", **labels}, self.waiting, taken))
        for pod in self.stage.all(kinds.PODS):
            mine = {"namespace": "default", "pod": pod["metadata"]["name"]}
            found += [
                Newest({"__name__": GPU, "UUID": mine["pod"], **mine}, self.busy, taken),
                Newest({"__name__": "moderation_pod_in_flight", **mine}, 4.0, taken),
                Newest({"__name__": "moderation_pod_queued", **mine}, 0.0, taken),
            ]
        self.series.known = [one for each in found if (one := self.wrong(each)) is not None]

    async def pass_time(self, seconds: float = 15.0, times: int = 1) -> None:
        """A scrape and a look at the autoscaler, each so many seconds."""
        for _ in range(times):
            self.scrape(seconds)
            await self.know()
            await self.look()
            await self.settled()

    async def look(self) -> None:
        """At the autoscaler; once more where somebody else had changed something meanwhile."""
        for attempt in range(5):
            try:
                await self.scaler.look(KEY)
                return
            except ApiFailure:
                if attempt == 4:
                    raise
                await self.know()

    def replicas(self, version: str = "v1") -> int | None:
        """Of the version's Deployment."""
        return self.stage.replicas(version)

    def status(self, name: str = "scaled") -> Json:
        """Of the autoscaler."""
        found = self.stage.find(kinds.GPU_AUTOSCALERS, name)
        assert found is not None
        return dict(found.get("status") or {})

    def condition(self, type_: str, name: str = "scaled") -> Json:
        """Of the autoscaler; empty where there is none."""
        conditions = self.status(name).get("conditions", ())
        return next((one for one in conditions if one["type"] == type_), {})


@asynccontextmanager
async def site(folder: Path, **deployment: Any) -> AsyncIterator[Site]:
    """Version v1 serves with two pods, and nobody scales it yet."""
    async with stage(folder) as cluster:
        for name in ("v1", "v2"):
            await cluster.version(name, checksPerSecond=20.0)
        await cluster.deployment("v1", **deployment)
        configuration, _ = await configured(folder / "kubeconfig", None)
        async with connected(configuration) as api:
            made = Site(cluster, api, folder / "decisions.jsonl")
            async with asyncio.timeout(60):
                while cluster.status().get("phase") != "Healthy":
                    await made.roll()
                    made.now += 1.0
            yield made
