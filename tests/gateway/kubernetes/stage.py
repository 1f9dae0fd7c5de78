"""A cluster's API server in this process, with the kinds that gateways read, and objects for them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from ostiary_gateway.brand_source import no_brands
from ostiary_gateway.kubernetes.api_server import LEASES, POLICIES, REGISTRIES, ROUTES, SLICES, Resource
from ostiary_gateway.kubernetes.lease import ACKED
from ostiary_gateway.kubernetes.sources import KubernetesSources, kubernetes_sources
from ostiary_gateway.list_source import no_lists
from ostiary_gateway.pods import PreparedPods
from ostiary_gateway.rules.pack import shipped
from ostiary_gateway.settings import KubernetesSettings
from ostiary_operator.sandbox.api.request import Caller, Deletion, Write
from ostiary_operator.sandbox.cluster import Cluster, Settings

Json = dict[str, Any]
_CRDS = Path(__file__).resolve().parents[3] / "manifests/crds"
KINDS = (ROUTES, POLICIES, REGISTRIES)
POLICY = {
    "version": "1",
    "policies": [
        {
            "policy": "prohibited_ads",
            "labels": [{"label": "qr_code", "steps": [{"action": "ACTION_BLOCK", "threshold": 0.9}]}],
        }
    ],
}


def route(epoch: int, **weights: int) -> Json:
    """A TrafficRoute's spec."""
    versions = [{"name": name, "weight": weight} for name, weight in weights.items()]
    return {"versions": versions, "epoch": str(epoch)}


class Stage:
    """One namespace, `default`, as whoever writes to it sees it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def settings(self, **more: Any) -> KubernetesSettings:
        """For a gateway called `gw`."""
        kubeconfig = self.cluster.settings.folder / "kubeconfig"
        given = {"name": "gw", "kubeconfig": kubeconfig, "wait_seconds": 10.0, **more}
        return KubernetesSettings.model_validate(given)

    @asynccontextmanager
    async def sources(
        self, *, prepared: PreparedPods | None = None, **more: Any
    ) -> AsyncIterator[KubernetesSources]:
        """What a gateway takes from the cluster."""
        async with kubernetes_sources(
            self.settings(**more), shipped(), no_lists, no_brands, prepared=prepared
        ) as found:
            yield found

    async def put(self, resource: Resource, name: str, spec: Json) -> None:
        """Makes an object, or gives it another spec."""
        made = {
            "apiVersion": f"{resource.group}/{resource.version}", "kind": resource.kind,
            "metadata": {"name": name}, "spec": spec,
        }  # fmt: skip
        where = self._resource(resource)
        if self.find(resource, name) is None:
            await self.cluster.operations.create(where, "default", made, Write())
        else:
            await self.cluster.operations.change(
                where, "default", name, lambda old: old | {"spec": spec}, Write()
            )

    async def pods(
        self, version: str, *hosts: str, model: str = "qwen", port: int = 8546, ready: bool = True
    ) -> None:
        """Writes a version's EndpointSlice, as Kubernetes does for its Service."""
        name = f"{model}-{version}-x"
        labels = {
            "ostiary.dev/model": model, "ostiary.dev/version": version,
            "kubernetes.io/service-name": f"{model}-{version}",
        }  # fmt: skip
        made = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": labels},
            "ports": [{"name": "health", "port": 1, "protocol": "TCP"},
                      {"name": "grpc", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [host], "conditions": {"ready": ready}} for host in hosts],
        }  # fmt: skip
        where = self._resource(SLICES)
        if self.find(SLICES, name) is None:
            await self.cluster.operations.create(where, "default", made, Write())
        else:
            ends = made["endpoints"]
            await self.cluster.operations.change(
                where, "default", name, lambda old: old | {"endpoints": ends}, Write()
            )

    async def remove(self, resource: Resource, name: str) -> None:
        """Removes an object."""
        where = self._resource(resource)
        await self.cluster.deletions.delete(where, "default", name, Deletion(), Caller("tester"))

    def find(self, resource: Resource, name: str) -> Json | None:
        """An object; None where there is none."""
        found = self.cluster.store.get(self._resource(resource).bucket, ("default", name))
        return None if found is None else found.data

    def accepted(self, resource: Resource, name: str) -> tuple[str, str, bool]:
        """What the object says became of it: status, message, and whether that is of its newest spec."""
        found = self.find(resource, name)
        assert found is not None
        for one in (found.get("status") or {}).get("conditions") or ():
            fresh = one["observedGeneration"] == found["metadata"]["generation"]
            return one["status"], one["message"], fresh
        return "", "", False

    def acked(self, gateway: str = "gw") -> Mapping[str, int]:
        """What a gateway's Lease says that it has applied."""
        lease = self.find(LEASES, f"ostiary-gateway-{gateway}")
        return json.loads(lease["metadata"]["annotations"][ACKED]) if lease else {}

    def _resource(self, resource: Resource) -> Any:
        return self.cluster.resource(resource.group, resource.version, resource.plural)


@asynccontextmanager
async def stage(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    """A running API server, with the definitions of `manifests/crds` applied."""
    chosen = {"controllers": False, "bookmark_every": 0.2, **settings}
    async with Cluster(Settings(folder, **chosen)) as cluster:
        definitions = cluster.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        for each in KINDS:
            written = yaml.safe_load((_CRDS / f"{each.plural}.yaml").read_text(encoding="utf-8"))
            await cluster.operations.create(definitions, "", written, Write())
        await cluster.manager.settle()
        yield Stage(cluster)
