"""A cluster in this process with the keeper's kinds, simulated pods and gateways, and keepers at work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kopf
import yaml

from ostiary_operator.cluster import kinds
from ostiary_operator.cluster.kinds import Kind
from ostiary_operator.cluster.leader import LeaderTimes
from ostiary_operator.cluster.running import KeeperSettings, keep
from ostiary_operator.cluster.watching import settings as watch_settings
from ostiary_operator.resources.asked import REQUEST
from ostiary_operator.sandbox.api.request import Caller, Deletion, Write
from ostiary_operator.sandbox.cluster import Cluster, Settings
from ostiary_operator.sandbox.controllers.kubelet import Timings
from ostiary_operator.sandbox.controllers.scheduler import new_node

Json = dict[str, Any]
MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
TEMPLATE = MANIFESTS / "base/keeper/pod-template.yaml"
QUICK = LeaderTimes(holds=1.5, acts=0.9, renews=0.2)
DIGEST = f"sha256:{'0' * 64}"


@dataclass
class SimulatedGateway:
    """Follows a route as gateways do, some time after it was written, and says so in its Lease.

    `rate`: checks a second that it says come to it; None: it does not say. `failed`: how often it would have
    sent a check, and found no ready pod.
    """

    stage: Stage
    name: str
    model: str
    lag: float = 0.05
    frozen: bool = False
    rate: float | None = None
    epoch: int = -1
    weights: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        renewed = -10.0
        while True:
            route = self.stage.find(kinds.TRAFFIC_ROUTES, self.model)
            epoch = int(route["spec"]["epoch"]) if route else -1
            if not self.frozen and (epoch > self.epoch or loop.time() - renewed > 1.0):
                if epoch > self.epoch:
                    await asyncio.sleep(self.lag)
                    self.epoch = epoch
                    self.weights = weights_of(route)
                await self._renew()
                renewed = loop.time()
            self._send()
            await asyncio.sleep(0.02)

    def _send(self) -> None:
        for version, weight in self.weights.items():
            if weight and not self.stage.ready(version):
                self.failed += 1

    async def _renew(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        acked = {self.model: self.epoch} if self.epoch >= 0 else {}
        annotations = {kinds.ACKED: json.dumps(acked)}
        if self.rate is not None:
            annotations[kinds.RATES] = json.dumps({self.model: self.rate})
        await self.stage.put(kinds.LEASES, gateway_lease(self.name, annotations, now))


def gateway_lease(name: str, annotations: Mapping[str, str], renewed: str) -> Json:
    """A gateway's Lease, renewed at a time as Kubernetes writes it."""
    return {
        "metadata": {
            "name": f"ostiary-gateway-{name}",
            "labels": {kinds.COMPONENT: "gateway"},
            "annotations": dict(annotations),
        },
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 15, "renewTime": renewed},
    }


def weights_of(route: Json | None) -> dict[str, int]:
    """Shares in basis points of a TrafficRoute, without those of nothing."""
    versions = route["spec"]["versions"] if route else ()
    return {one["name"]: one["weight"] for one in versions if one.get("weight")}


class Stage:
    """The namespace `default` of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def put(self, kind: Kind, obj: Json) -> None:
        """Makes an object, or gives it other contents, status apart."""
        made = {"apiVersion": kind.api_version, "kind": kind.name, **obj}
        name = obj["metadata"]["name"]
        if self.find(kind, name) is None:
            await self.cluster.operations.create(self._resource(kind), "default", made, Write())
            return

        def changed(old: Json) -> Json:
            metadata = {**old["metadata"], **obj["metadata"]}
            return {
                **old,
                **{key: value for key, value in obj.items() if key != "metadata"},
                "metadata": metadata,
            }

        await self.cluster.operations.change(self._resource(kind), "default", name, changed, Write())

    async def remove(self, kind: Kind, name: str) -> None:
        """Removes an object."""
        await self.cluster.deletions.delete(
            self._resource(kind), "default", name, Deletion(), Caller("tester")
        )

    def find(self, kind: Kind, name: str) -> Json | None:
        """An object; None where there is none."""
        found = self.cluster.store.get(self._resource(kind).bucket, ("default", name))
        return None if found is None else found.data

    def all(self, kind: Kind) -> list[Json]:
        """All objects of a kind."""
        return list(self.cluster.store.objects(self._resource(kind).bucket, "default"))

    def _resource(self, kind: Kind) -> Any:
        return self.cluster.resource(kind.group, kind.version, kind.plural)

    def ready(self, version: str) -> int:
        """Ready pods of a version that are to stay."""
        return sum(
            (pod["metadata"].get("labels") or {}).get(kinds.VERSION) == version
            and not pod["metadata"].get("deletionTimestamp")
            and any(
                one["type"] == "Ready" and one["status"] == "True"
                for one in (pod.get("status") or {}).get("conditions", ())
            )
            for pod in self.all(kinds.PODS)
        )

    def status(self, name: str = "qwen") -> Json:
        """A ModelDeployment's."""
        found = self.find(kinds.MODEL_DEPLOYMENTS, name)
        assert found is not None
        return dict(found.get("status") or {})

    def condition(self, type_: str, name: str = "qwen") -> Json:
        """A condition of a ModelDeployment; empty where there is none."""
        conditions = self.status(name).get("conditions", ())
        return next((one for one in conditions if one["type"] == type_), {})

    def weights(self, model: str = "qwen") -> dict[str, int]:
        """What the route says."""
        return weights_of(self.find(kinds.TRAFFIC_ROUTES, model))

    def events(self) -> list[str]:
        """Reasons of the keeper's Events, in order of time."""
        ours = [one for one in self.all(kinds.EVENTS) if one["source"].get("component") == kinds.MANAGER]
        ours.sort(key=lambda one: int(one["metadata"]["resourceVersion"]))
        return [one["reason"] for one in ours]

    async def until(self, holds: Callable[[], object], seconds: float = 20.0) -> None:
        """Waits until something holds; AssertionError, with how things stand, where it does not."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():  # noqa: ASYNC110  # what is waited for has no event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            states = [one.get("status") for one in self.all(kinds.MODEL_DEPLOYMENTS)]
            raise AssertionError(f"{self.weights()} {states} {self.events()}") from None

    async def version(self, name: str, model: str = "qwen", **spec: object) -> None:
        """A ModelVersion."""
        described = {
            "model": model, "version": name, "image": f"registry.example/pod:{name}",
            "checksPerSecond": 10.0, "gpu": {"count": 0},
            "artifact": {"uri": f"file:///bundles/{name}", "digest": DIGEST}, **spec,
        }  # fmt: skip
        await self.put(kinds.MODEL_VERSIONS, {"metadata": {"name": name}, "spec": described})

    async def deployment(self, version: str, name: str = "qwen", **spec: object) -> None:
        """A ModelDeployment of two pods, with a canary of two steps."""
        steps = [{"setWeight": 1000}, {"pauseSeconds": 0.3}, {"setWeight": 5000}]
        described = {
            "model": name, "versionRef": {"name": version}, "replicas": 2,
            "strategy": {"canary": {"steps": steps}}, **spec,
        }  # fmt: skip
        await self.put(kinds.MODEL_DEPLOYMENTS, {"metadata": {"name": name}, "spec": described})

    async def order(self, name: str, order: str = "Rollback", seconds: float = 600.0, **spec: object) -> None:
        """A ModelOverride."""
        expires = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
        described = {
            "target": "qwen", "order": order, "reason": "trying", "actor": "ann",
            "expiresAt": expires, **spec,
        }  # fmt: skip
        await self.put(kinds.MODEL_OVERRIDES, {"metadata": {"name": name}, "spec": described})

    async def request(self, verb: str, id_: str, name: str = "qwen", **more: object) -> None:
        """What `kubectl ostiary` asks of a rollout."""
        found = self.find(kinds.MODEL_DEPLOYMENTS, name)
        assert found is not None
        text = json.dumps({"verb": verb, "id": id_, **more})
        metadata = {"name": name, "annotations": {REQUEST: text}}
        await self.put(kinds.MODEL_DEPLOYMENTS, {"metadata": metadata, "spec": found["spec"]})

    def replicas(self, version: str) -> int | None:
        """Of a version's Deployment; None without one."""
        found = self.find(kinds.DEPLOYMENTS, version)
        return found["spec"]["replicas"] if found else None

    @asynccontextmanager
    async def gateway(
        self, name: str = "gw-1", model: str = "qwen", **more: Any
    ) -> AsyncIterator[SimulatedGateway]:
        """A gateway, for as long as it is wanted; it goes without a word."""
        gateway = SimulatedGateway(self, name, model, **more)
        task = asyncio.create_task(gateway.run(), name=f"gateway {name}")
        try:
            yield gateway
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def keeper_settings(self, token: str = "", **more: Any) -> KeeperSettings:
        """For a keeper that takes over quickly; `token`: whose it is, the administrator's if empty."""
        folder = self.cluster.settings.folder
        path = folder / "kubeconfig"
        if token:
            path = folder / "keeper.kubeconfig"
            path.write_text(self.cluster.kubeconfig(token), encoding="utf-8")
        return KeeperSettings(**{"pod_template": TEMPLATE, "kubeconfig": path, "leader": QUICK, **more})

    @asynccontextmanager
    async def keeper(self, token: str = "", **more: Any) -> AsyncIterator[Keeping]:
        """A keeper at work; it stops in order unless it was killed."""
        stop, ready = asyncio.Event(), asyncio.Event()
        chosen = self.keeper_settings(token, **more)
        task = asyncio.create_task(keep(chosen, stop, ready.set, quick_watches()), name="keeper")
        keeping = Keeping(task, stop)
        try:
            waiting = asyncio.create_task(ready.wait())
            await asyncio.wait({task, waiting}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if task.done():
                await task
            yield keeping
        finally:
            await keeping.end()


@dataclass
class Keeping:
    """A keeper's task."""

    task: asyncio.Task[None]
    stop: asyncio.Event

    async def kill(self) -> None:
        """Ends it wherever it is, without its doing anything more."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def end(self) -> None:
        """Stops it in order, if it is still there."""
        self.stop.set()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(20):
                await self.task


def quick_watches() -> kopf.OperatorSettings:
    """Watches that are made anew often and at once."""
    made = watch_settings()
    made.watching.reconnect_backoff = 0.01
    made.watching.server_timeout = 2
    made.networking.error_backoffs = [0.01] * 20
    made.queueing.idle_timeout = made.queueing.exit_timeout = 0.1
    return made


@asynccontextmanager
async def stage(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    """A running cluster with quick pods, and all definitions of `manifests/crds` applied."""
    chosen: Json = {
        "bookmark_every": 0.5,
        "nodes": (new_node("node-1"), new_node("node-2")),
        "timings": Timings(pull=0.05, load=0.1, stop=0.05),
        **settings,
    }
    async with Cluster(Settings(folder, **chosen)) as cluster:
        definitions = cluster.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        for path in sorted((MANIFESTS / "crds").glob("*.yaml")):
            written = yaml.safe_load(path.read_text(encoding="utf-8"))
            await cluster.operations.create(definitions, "", written, Write())
        await cluster.manager.settle()
        yield Stage(cluster)
