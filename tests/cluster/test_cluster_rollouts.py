"""Rollouts, placement and loads on a virtual clock: an hour takes as long as its events."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.shapes import deployment
from ostiary_operator.sandbox.api.request import Deletion, Write
from ostiary_operator.sandbox.api.status import ApiError
from ostiary_operator.sandbox.clock import VirtualClock
from ostiary_operator.sandbox.cluster import Cluster, Settings
from ostiary_operator.sandbox.controllers.desk import condition
from ostiary_operator.sandbox.controllers.kubelet import FAIL, LOAD
from ostiary_operator.sandbox.controllers.scheduler import new_node

Json = dict[str, Any]
_WRITE = Write()


class Site:
    """A cluster on a virtual clock, and what tests do with it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.advance = cluster.advance
        self.deployments = cluster.resource("apps", "v1", "deployments")

    async def create(self, group: str, plural: str, obj: Json) -> Json:
        resource = self.cluster.resource(group, "v1", plural)
        return await self.cluster.operations.create(resource, "default", obj, _WRITE)

    async def patch(self, spec: Json, name: str = "web") -> None:
        kind = "application/strategic-merge-patch+json"
        body = {"spec": spec}
        await self.cluster.operations.patch(self.deployments, "default", name, kind, body, _WRITE)

    async def roll(self, image: str, **annotations: str) -> None:
        """Another template."""
        template = {
            "metadata": {"annotations": annotations},
            "spec": {"containers": [{"name": "main", "image": image}]},
        }
        await self.patch({"template": template})

    def deployment(self, name: str = "web") -> Json:
        return self.cluster.operations.stored(self.deployments, "default", name).data

    def pods(self) -> list[Json]:
        return self.cluster.store.objects("pods.", "default")

    def sizes(self) -> dict[str, int]:
        """Replicas of each ReplicaSet, by the tag of its image."""
        found = self.cluster.store.objects("replicasets.apps", "default")
        return {
            one["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]: one["spec"][
                "replicas"
            ]
            for one in found
        }

    def events(self, reason: str) -> list[str]:
        return [
            one["message"]
            for one in self.cluster.store.objects("events.", "default")
            if one["reason"] == reason
        ]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Three nodes: one without GPUs, two with two each."""
    nodes = (new_node("plain", cpu="8"), new_node("gpu-a", gpus=2), new_node("gpu-b", gpus=2))
    async with Cluster(Settings(tmp_path, clock=VirtualClock(), nodes=nodes)) as cluster:
        yield Site(cluster)


def on_gpus(count: int = 1, replicas: int = 2) -> Json:
    """A Deployment whose pods need GPUs and put up with their taint."""
    made = deployment(replicas=replicas)
    pod = made["spec"]["template"]["spec"]
    pod["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": count}}
    pod["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    return made


async def test_a_rollout_keeps_its_bounds(site: Site) -> None:
    """At every step there are at most replicas + surge pods and at least replicas - unavailable ready."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    await site.create("apps", "deployments", deployment(replicas=4, strategy=rolling))
    await site.advance(10)
    await site.roll("registry.example/web:2")
    for _ in range(120):
        await site.advance(0.25)
        live = [pod for pod in site.pods() if "deletionTimestamp" not in pod["metadata"]]
        ready = [pod for pod in live if (found := condition(pod, "Ready")) and found["status"] == "True"]
        assert len(live) <= 5
        assert len(ready) >= 3
    assert site.sizes() == {"1": 0, "2": 4}
    progressing = condition(site.deployment(), "Progressing")
    assert progressing is not None
    assert progressing["reason"] == "NewReplicaSetAvailable"


async def test_a_version_that_never_gets_ready_stops_at_its_deadline(site: Site) -> None:
    """Old pods stay as far as they must, and after ten minutes the rollout says that it failed."""
    await site.create("apps", "deployments", deployment(replicas=4))
    await site.advance(10)
    await site.roll("registry.example/web:2", **{FAIL: "unready"})
    await site.advance(590)
    before = condition(site.deployment(), "Progressing")
    assert before is not None
    assert before["status"] == "True"
    await site.advance(20)
    found = condition(site.deployment(), "Progressing")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert site.sizes() == {"1": 3, "2": 2}
    containers = [{"name": "main", "image": "registry.example/web:1"}]
    back = {"metadata": {"annotations": {FAIL: None}}, "spec": {"containers": containers}}
    await site.patch({"template": back})
    await site.advance(10)
    assert site.sizes() == {"1": 4, "2": 0}


async def test_resizing_in_the_middle_shares_out(site: Site) -> None:
    """A Deployment that grows during a rollout grows in both its sets."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    await site.create("apps", "deployments", deployment(replicas=10, strategy=rolling))
    await site.advance(10)
    await site.roll("registry.example/web:2", **{FAIL: "unready"})
    await site.advance(10)
    assert site.sizes() == {"1": 8, "2": 5}
    await site.patch({"replicas": 15})
    await site.advance(10)
    assert site.sizes() == {"1": 11, "2": 7}


async def test_recreate_never_mixes(site: Site) -> None:
    """With the strategy Recreate the old pods are gone before the first new one is made."""
    await site.create("apps", "deployments", deployment(replicas=2, strategy={"type": "Recreate"}))
    await site.advance(10)
    await site.roll("registry.example/web:2")
    for _ in range(60):
        await site.advance(0.25)
        assert len({pod["spec"]["containers"][0]["image"] for pod in site.pods()}) <= 1
    assert {pod["spec"]["containers"][0]["image"] for pod in site.pods()} == {"registry.example/web:2"}


async def test_history_is_kept_as_long_as_asked(site: Site) -> None:
    """Of old sets only as many stay as revisionHistoryLimit says."""
    await site.create("apps", "deployments", deployment(replicas=1, revisionHistoryLimit=2))
    for tag in range(2, 7):
        await site.advance(10)
        await site.roll(f"registry.example/web:{tag}")
    await site.advance(10)
    assert site.sizes() == {"4": 0, "5": 0, "6": 1}


async def test_gpus_are_given_out_once(site: Site) -> None:
    """Pods go to nodes with free GPUs; the one too many waits, says why, and starts when there is room."""
    await site.create("apps", "deployments", on_gpus(replicas=5))
    await site.advance(10)
    placed = sorted(pod["spec"].get("nodeName", "") for pod in site.pods())
    assert placed == ["", "gpu-a", "gpu-a", "gpu-b", "gpu-b"]
    (why,) = site.events("FailedScheduling")
    assert why.startswith("0/3 nodes are available:")
    assert "3 Insufficient nvidia.com/gpu" in why
    await site.create("", "nodes", new_node("gpu-c", gpus=1))
    await site.advance(10)
    assert "gpu-c" in {pod["spec"].get("nodeName") for pod in site.pods()}


async def test_a_taint_keeps_pods_away(site: Site) -> None:
    """Pods that do not put up with the GPUs' taint stay off their nodes."""
    await site.create("apps", "deployments", deployment(replicas=3))
    await site.advance(10)
    assert {pod["spec"]["nodeName"] for pod in site.pods()} == {"plain"}


async def test_loading_takes_its_time(site: Site) -> None:
    """A pod is ready when its image is pulled and its model loaded, the second one sooner."""
    slow = deployment(replicas=1)
    slow["spec"]["template"]["metadata"]["annotations"] = {LOAD: "60"}
    await site.create("apps", "deployments", slow)
    await site.advance(61)
    assert "readyReplicas" not in site.deployment()["status"]
    await site.advance(2)
    assert site.deployment()["status"]["readyReplicas"] == 1
    await site.patch({"replicas": 2})
    await site.advance(60.5)
    assert site.deployment()["status"]["readyReplicas"] == 2


async def test_a_crashing_version_backs_off(site: Site) -> None:
    """A container that ends at once is started again, later each time."""
    bad = deployment(replicas=1)
    bad["spec"]["template"]["metadata"]["annotations"] = {FAIL: "crash"}
    await site.create("apps", "deployments", bad)
    await site.advance(120)
    (pod,) = site.pods()
    (state,) = pod["status"]["containerStatuses"]
    assert 3 <= state["restartCount"] <= 5
    assert state["state"]["waiting"]["reason"] == "CrashLoopBackOff"


async def test_a_quota_holds_back_pods(site: Site) -> None:
    """Pods beyond the quota are not made; the Deployment says so, and goes on when the quota is raised."""
    hard = {"requests.nvidia.com/gpu": "2"}
    await site.create("", "resourcequotas", {"metadata": {"name": "gpus"}, "spec": {"hard": hard}})
    await site.create("apps", "deployments", on_gpus(replicas=3))
    await site.advance(10)
    assert len(site.pods()) == 2
    failure = condition(site.deployment(), "ReplicaFailure")
    assert failure is not None
    assert "exceeded quota: gpus" in failure["message"]
    quotas = site.cluster.resource("", "v1", "resourcequotas")
    more = {"spec": {"hard": {"requests.nvidia.com/gpu": "3"}}}
    kind = "application/merge-patch+json"
    await site.cluster.operations.patch(quotas, "default", "gpus", kind, more, _WRITE)
    await site.advance(10)
    assert len(site.pods()) == 3
    assert condition(site.deployment(), "ReplicaFailure") is None


async def test_endpoints_follow_readiness(site: Site) -> None:
    """A slice lists the pods behind a Service, ready when they are, by the number that a port has."""
    made = deployment(replicas=2)
    made["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": "grpc", "containerPort": 8443}]
    await site.create("apps", "deployments", made)
    service = {"selector": {"app": "web"}, "ports": [{"name": "grpc", "port": 443, "targetPort": "grpc"}]}
    await site.create("", "services", {"metadata": {"name": "web"}, "spec": service})

    def endpoints() -> list[Json]:
        (one,) = site.cluster.store.objects("endpointslices.discovery.k8s.io", "default")
        assert [port["port"] for port in one["ports"]] == [8443]
        found: list[Json] = one["endpoints"]
        return found

    await site.advance(2.5)
    assert [one["conditions"]["ready"] for one in endpoints()] == [False, False]
    await site.advance(2)
    assert [one["conditions"]["ready"] for one in endpoints()] == [True, True]
    await site.patch({"replicas": 1})
    await site.advance(0.1)
    leaving = [one["conditions"] for one in endpoints() if one["conditions"]["terminating"]]
    assert leaving == [{"ready": False, "serving": True, "terminating": True}]
    await site.advance(2)
    assert len(endpoints()) == 1


async def test_evictions_spend_the_budget(site: Site) -> None:
    """Of two evictions at once the second waits until the first pod is replaced."""
    await site.create("apps", "deployments", deployment(replicas=3))
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    await site.create("policy", "poddisruptionbudgets", {"metadata": {"name": "one"}, "spec": spec})
    await site.advance(10)
    pods = site.cluster.resource("", "v1", "pods")
    first, second, _ = (pod["metadata"]["name"] for pod in site.pods())

    async def evict(name: str) -> None:
        await site.cluster.deletions.evict(pods, "default", name, {}, _WRITE.caller)

    await evict(first)
    with pytest.raises(ApiError) as refused:
        await evict(second)
    assert refused.value.code == 429
    await site.advance(10)
    await evict(second)


async def test_a_clock_that_jumps_ends_no_grace_twice(site: Site) -> None:
    """Set forward by an hour, a pod that was being stopped is gone and nothing else."""
    await site.create("apps", "deployments", deployment(replicas=2))
    await site.advance(10)
    gone = site.pods()[0]["metadata"]["name"]
    pods = site.cluster.resource("", "v1", "pods")
    await site.cluster.deletions.delete(pods, "default", gone, Deletion(), _WRITE.caller)
    clock = site.cluster.clock
    assert isinstance(clock, VirtualClock)
    clock.jump(3600)
    await site.advance(10)
    assert len(site.pods()) == 2
    assert gone not in {pod["metadata"]["name"] for pod in site.pods()}
    assert site.deployment()["status"]["availableReplicas"] == 2
