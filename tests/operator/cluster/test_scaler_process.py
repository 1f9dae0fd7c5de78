"""GPUAutoscalers under the whole keeper: kopf's watches, the HTTP API of a Prometheus server, the log."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from bench.keeper.stage import Stage, stage
from ostiary_operator.autoscaling.log import read
from ostiary_operator.cluster import kinds
from ostiary_operator.sandbox.faults import Plan
from prometheus_api import answering, success

GPU = "DCGM_FI_DEV_GPU_UTIL"
_POINTS = [{"concurrency": 1, "checksPerSecond": 10.0}]
SPEC = {
    "scaleTargetRef": {"name": "v1"},
    "minReplicas": 2,
    "maxReplicas": 8,
    "capacity": {"points": _POINTS},
    "metrics": [{"type": "GPU", "metric": GPU, "target": 0.5, "profiled": False}],
}


@asynccontextmanager
async def busy_gpus(cluster: Stage) -> AsyncIterator[str]:
    """A Prometheus server that knows every pod's GPU to be fully busy; its URL."""

    async def answer(request: web.Request) -> web.Response:
        query = str((await request.post())["query"])
        result = [
            {
                "metric": {"__name__": GPU, "pod": name, "UUID": name},
                "values": [[time.time() - 1.0, "100"]],
            }
            for pod in cluster.all(kinds.PODS)
            for name in [pod["metadata"]["name"]]
            if ',pod=~"v1-.+"' in query
        ]
        return success("matrix", result)

    async with answering(answer) as url:
        yield url


def changes(cluster: Stage) -> list[tuple[int, int]]:
    """The autoscaler's decisions that changed the number of pods: from and to."""
    found = cluster.find(kinds.GPU_AUTOSCALERS, "v1") or {}
    return [
        (one["current"], one["desired"])
        for one in found.get("status", {}).get("decisions", ())
        if one["current"] != one["desired"]
    ]


async def test_busy_gpus_get_pods(tmp_path: Path) -> None:
    """A watch tells of the autoscaler, Prometheus of the GPUs: there are more pods, the status says why, and
    the log can be read; a keeper that is killed and started again goes on from there.
    """
    log = tmp_path / "decisions.jsonl"
    async with stage(tmp_path) as cluster, busy_gpus(cluster) as url, cluster.gateway():
        await cluster.version("v1")
        await cluster.deployment("v1")
        async with cluster.keeper(prometheus=url, decision_log=log) as keeper:
            await cluster.until(lambda: cluster.status().get("phase") == "Healthy")
            await cluster.put(kinds.GPU_AUTOSCALERS, {"metadata": {"name": "v1"}, "spec": SPEC})
            await cluster.until(lambda: cluster.replicas("v1") == 4)
            await cluster.until(lambda: cluster.ready("v1") == 4)
            # The status follows the change: before that is told, a keeper takes what it knew with it.
            await cluster.until(lambda: changes(cluster) == [(2, 4)])
            await keeper.kill()
        async with cluster.keeper(prometheus=url, decision_log=log):
            await cluster.until(lambda: cluster.replicas("v1") == 8, seconds=120.0)
            await cluster.until(lambda: changes(cluster)[-1][1] == 8)
            told = changes(cluster)
            assert told[0] == (2, 4)
            # What the keeper before had added counts for the rates of the one after it.
            assert [before for before, _ in told[1:]] == [after for _, after in told[:-1]]
    with log.open(encoding="utf-8") as file:
        assert {entry.name for entry in read(file, "log")} == {"default/v1"}


async def test_on_a_bad_day(tmp_path: Path) -> None:
    """Conflicts, errors, lost answers and watches that break: it arrives, and never beyond the most."""
    most = 0
    async with stage(tmp_path) as cluster, busy_gpus(cluster) as url, cluster.gateway():
        await cluster.version("v1")
        await cluster.deployment("v1")
        async with cluster.keeper(prometheus=url):
            await cluster.until(lambda: cluster.status().get("phase") == "Healthy")
            cluster.cluster.faults.seed = 7
            cluster.cluster.faults.set(
                conflict=0.1, error=0.1, lost_answer=0.1, throttle=0.02, break_watch=0.05
            )
            spec = {**SPEC, "maxReplicas": 4}
            await cluster.put(kinds.GPU_AUTOSCALERS, {"metadata": {"name": "v1"}, "spec": spec})

            def arrived() -> bool:
                nonlocal most
                most = max(most, cluster.replicas("v1") or 0)
                return most >= 4

            await cluster.until(arrived, seconds=120.0)
            cluster.cluster.faults.plan = Plan()
            await cluster.until(lambda: cluster.ready("v1") == 4)
            assert cluster.replicas("v1") == most == 4
