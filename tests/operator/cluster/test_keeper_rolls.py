"""The keeper at work: kopf running, on a cluster with simulated pods and gateways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bench.keeper.stage import Stage, stage
from ostiary_operator.cluster import kinds
from ostiary_operator.sandbox.api.request import Write

Json = dict[str, Any]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Stage]:
    """Three versions, of which v1 is to serve."""
    async with stage(tmp_path) as made:
        for name in ("v1", "v2", "v3"):
            await made.version(name)
        await made.deployment("v1")
        yield made


@pytest.fixture
async def serving(cluster: Stage) -> AsyncIterator[Stage]:
    """Version v1 serves, through one gateway."""
    async with cluster.gateway() as gateway, cluster.keeper():
        await cluster.until(lambda: healthy(cluster, "v1"))
        yield cluster
        assert gateway.failed == 0


def healthy(cluster: Stage, version: str) -> bool:
    """Whether a version has everything, and nothing is on its way."""
    status = cluster.status()
    return status.get("stable") == version and status["phase"] == "Healthy"


def in_force(cluster: Stage, order: str) -> str:
    """Whether a ModelOverride is followed, as it says itself."""
    found = cluster.find(kinds.MODEL_OVERRIDES, order) or {}
    return next((one["status"] for one in (found.get("status") or {}).get("conditions", ())), "")


def failing(kind: str) -> Json:
    """The annotations of pods that fail."""
    return {"sandbox.ostiary.dev/fail": kind}


async def test_a_version_is_rolled_step_by_step(serving: Stage) -> None:
    """The second version follows the first in steps; the first is kept warm; people are told."""
    seen = [serving.weights()]

    def rolled() -> bool:
        if seen[-1] != serving.weights():
            seen.append(serving.weights())
        return healthy(serving, "v2")

    await serving.deployment("v2")
    await serving.until(rolled)
    assert seen == [
        {"v1": 10_000},
        {"v1": 9_000, "v2": 1_000},
        {"v1": 5_000, "v2": 5_000},
        {"v2": 10_000},
    ]
    assert serving.ready("v1") == 2
    assert serving.condition("RollbackReady")["status"] == "True"
    assert {"RolloutStarted", "StepReached", "VersionStable"} <= set(serving.events())
    await serving.until(lambda: (serving.find(kinds.MODEL_VERSIONS, "v2") or {}).get("status"))


async def test_what_is_made_goes_with_the_deployment(cluster: Stage) -> None:
    """Deployments, Services and the route belong to the ModelDeployment; labels are as gateways look."""
    async with cluster.gateway(), cluster.keeper():
        await cluster.until(lambda: healthy(cluster, "v1"))
        service, workload = cluster.find(kinds.SERVICES, "v1"), cluster.find(kinds.DEPLOYMENTS, "v1")
        assert service is not None
        assert workload is not None
        marks = {"ostiary.dev/model": "qwen", "ostiary.dev/version": "v1"}
        assert service["metadata"]["labels"] == marks
        assert workload["spec"]["template"]["metadata"]["labels"].items() >= marks.items()
        container = workload["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == "registry.example/pod:v1"
        assert {"name": "OSTIARY_POD_BUNDLE", "value": "/bundles/v1"} in container["env"]
        await cluster.remove(kinds.MODEL_DEPLOYMENTS, "qwen")
        gone = (kinds.DEPLOYMENTS, kinds.TRAFFIC_ROUTES, kinds.SERVICES)
        await cluster.until(lambda: not any(cluster.all(kind) for kind in gone))


async def test_an_order_takes_everything_back_at_once(serving: Stage) -> None:
    """Rolled back by a ModelOverride while a candidate has a share; it stays away when the order ends."""
    await serving.deployment("v2", strategy={"canary": {"steps": [{"setWeight": 2000}, {"pause": True}]}})
    await serving.until(lambda: serving.weights().get("v2") == 2_000)
    await serving.order("back")
    await serving.until(lambda: serving.weights() == {"v1": 10_000}, 5)
    await serving.until(lambda: serving.status()["phase"] == "Overridden")
    await serving.until(lambda: in_force(serving, "back") == "True")
    await serving.remove(kinds.MODEL_OVERRIDES, "back")
    await serving.until(lambda: serving.status()["phase"] == "Degraded")
    assert serving.weights() == {"v1": 10_000}
    assert serving.status()["rejected"] == "v2"


async def test_pods_that_never_get_ready_get_nothing(serving: Stage) -> None:
    """A version that does not load gets no share, and is given up at its deadline."""
    await serving.deployment("v2", progressDeadlineSeconds=1.0)
    await serving.until(lambda: serving.find(kinds.DEPLOYMENTS, "v2"))
    await serving.version("v2")
    workload = serving.find(kinds.DEPLOYMENTS, "v2")
    assert workload is not None
    template = workload["spec"]["template"]
    marked = {**template["metadata"], "annotations": failing("unready")}
    spec = {**workload["spec"], "template": {**template, "metadata": marked}}
    await serving.put(kinds.DEPLOYMENTS, {"metadata": {"name": "v2"}, "spec": spec})
    await serving.until(lambda: serving.status().get("rejected") == "v2")
    assert serving.weights() == {"v1": 10_000}
    assert "RolloutAborted" in serving.events()
    await serving.until(lambda: serving.replicas("v2") == 0)


async def test_what_people_ask_is_done_once(serving: Stage) -> None:
    """Promoted past an endless pause, by the annotation that `kubectl ostiary promote` writes."""
    steps = [{"setWeight": 1000}, {"pause": True}, {"setWeight": 3000}, {"pause": True}]
    await serving.deployment("v2", strategy={"canary": {"steps": steps}})
    await serving.until(lambda: serving.status()["phase"] == "Paused")
    await serving.request("promote", "1")
    await serving.until(lambda: serving.status()["step"] == 3 and serving.weights().get("v2") == 3_000)
    assert serving.status()["answered"] == "1"
    await serving.request("promote-full", "2")
    await serving.until(lambda: healthy(serving, "v2"))


async def test_an_order_that_nobody_saw_in_time_is_told(cluster: Stage) -> None:
    """It ended while there was no keeper: on the order, and as an Event."""
    async with cluster.gateway():
        async with cluster.keeper():
            await cluster.until(lambda: healthy(cluster, "v1"))
        await cluster.order("late", seconds=0.0)
        async with cluster.keeper():
            await cluster.until(lambda: in_force(cluster, "late") == "False")
            await cluster.until(lambda: "OrderMissed" in cluster.events())
    (condition,) = (cluster.find(kinds.MODEL_OVERRIDES, "late") or {})["status"]["conditions"]
    assert condition["reason"] == "Missed"


async def test_no_pod_goes_while_a_gateway_may_send_to_it(cluster: Stage) -> None:
    """A gateway that lags keeps the old version's pods there; when it has let go, they go."""
    await cluster.deployment("v1", warm={"versions": 0})
    async with cluster.gateway(), cluster.gateway("gw-2") as slow, cluster.keeper():
        await cluster.until(lambda: healthy(cluster, "v1"))
        await cluster.deployment("v2", warm={"versions": 0}, strategy={})
        await cluster.until(lambda: cluster.status()["phase"] == "Paused")
        slow.frozen = True
        await cluster.request("promote", "1", force=True)
        await cluster.until(lambda: cluster.weights() == {"v2": 10_000})
        await asyncio.sleep(1.0)
        assert cluster.ready("v1") == 2
        assert cluster.condition("RouteConverged")["status"] == "False"
        slow.frozen = False
        await cluster.until(lambda: cluster.replicas("v1") == 0)
        assert slow.failed == 0


_SENSELESS: dict[str, tuple[Json, str]] = {
    "steps that do not rise": (
        {"strategy": {"canary": {"steps": [{"setWeight": 5000}, {"setWeight": 1000}]}}},
        "each setWeight has to be above the one before",
    ),
    "a version that there is not": ({"versionRef": {"name": "v9"}}, "there is no ModelVersion v9"),
}


@pytest.mark.parametrize("senseless", _SENSELESS)
async def test_a_senseless_spec_becomes_a_condition(serving: Stage, senseless: str) -> None:
    """What passes the schema and makes no sense moves nothing, says why, and can be mended."""
    change, words = _SENSELESS[senseless]
    await serving.deployment("v2", **change)

    def told() -> bool:
        conditions = serving.status()["conditions"]
        return any(words in one["message"] for one in conditions)

    await serving.until(told)
    assert serving.status()["phase"] == "Degraded"
    assert serving.weights() == {"v1": 10_000}
    await serving.deployment("v2")
    await serving.until(lambda: healthy(serving, "v2"))
    assert serving.condition("Reconciled")["status"] == "True"


@pytest.mark.parametrize("senseless", _SENSELESS)
async def test_a_slip_gives_no_second_try(serving: Stage, senseless: str) -> None:
    """A version was aborted; a spec that makes no sense, and then does again, is not another one named."""
    strategy = {"canary": {"steps": [{"setWeight": 1000}, {"pause": True}]}}
    await serving.deployment("v2", strategy=strategy)
    await serving.until(lambda: serving.status()["phase"] == "Paused")
    await serving.request("abort", "1")
    await serving.until(lambda: serving.condition("Healthy")["reason"] == "Aborted")
    change, words = _SENSELESS[senseless]
    await serving.deployment("v2", **change)
    await serving.until(lambda: any(words in one["message"] for one in serving.status()["conditions"]))
    await serving.deployment("v2", strategy=strategy)
    await serving.until(lambda: not any(words in one["message"] for one in serving.status()["conditions"]))
    await asyncio.sleep(0.5)
    assert (serving.status()["rejected"], serving.weights()) == ("v2", {"v1": 10_000})
    await serving.deployment("v1")
    await serving.until(lambda: healthy(serving, "v1"))
    await serving.deployment("v2")
    await serving.until(lambda: healthy(serving, "v2"))


async def test_a_model_is_kept_by_one(serving: Stage) -> None:
    """A second ModelDeployment for the same model is told so, and touches nothing."""
    await serving.deployment("v2", name="other", model="qwen")
    await serving.until(lambda: serving.condition("Reconciled", "other").get("reason") == "ModelTaken")
    assert serving.weights() == {"v1": 10_000}
    assert serving.find(kinds.DEPLOYMENTS, "v2") is None


async def test_a_bundle_that_nothing_fetches_is_refused(serving: Stage) -> None:
    """A ModelVersion whose artifact no pod can reach becomes a condition and an Event."""
    await serving.version("v4", artifact={"uri": "s3://bundles/v4", "digest": f"sha256:{'1' * 64}"})
    await serving.deployment("v4")
    await serving.until(lambda: serving.condition("Reconciled").get("status") == "False")
    assert "oci://" in serving.condition("Reconciled")["message"]
    assert "Refused" in serving.events()
    await serving.deployment("v2")
    await serving.until(lambda: healthy(serving, "v2"))


async def test_a_lost_status_does_not_skip_the_steps(cluster: Stage) -> None:
    """Restored from a backup, which holds no status: what has the traffic is the stable version."""
    async with cluster.gateway():
        async with cluster.keeper():
            await cluster.until(lambda: healthy(cluster, "v1"))
        where = cluster.cluster.resource("ostiary.dev", "v1alpha1", "modeldeployments")
        await cluster.cluster.operations.change(
            where,
            "default",
            "qwen",
            lambda old: {key: value for key, value in old.items() if key != "status"},
            Write(),
            "status",
        )
        assert not cluster.status()
        await cluster.deployment("v2", strategy={"canary": {"steps": [{"setWeight": 500}, {"pause": True}]}})
        async with cluster.keeper():
            await cluster.until(lambda: cluster.status().get("phase") == "Paused")
            assert cluster.weights() == {"v1": 9_500, "v2": 500}
            assert cluster.status()["stable"] == "v1"
