"""Gates as Jobs of a cluster: what they say decides, and what they cannot say is for people."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.keeper.stage import TEMPLATE, Stage, stage
from ostiary_operator.cluster import kinds

Json = dict[str, Any]
GOLDEN = {"folder": "pvc://golden/2026", "bounds": [{"figure": "category/top1", "atLeast": 0.7}]}
STEPS: Json = {"canary": {"steps": [{"setWeight": 1000}]}, "gates": {"goldenSet": GOLDEN}}


def template(folder: Path, annotations: dict[str, str]) -> Path:
    """The shipped pod template; `annotations` say what becomes of pods that run to their end."""
    made = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    made["metadata"]["annotations"] |= {
        f"sandbox.ostiary.dev/{key}": text for key, text in annotations.items()
    }
    path = folder / "template.yaml"
    path.write_text(yaml.safe_dump(made), encoding="utf-8")
    return path


@asynccontextmanager
async def gated(folder: Path, annotations: dict[str, str], **gate: object) -> AsyncIterator[Stage]:
    """v1 serves, v2 comes, and its golden set is judged by a Job that ends so."""
    async with stage(folder) as cluster:
        for name in ("v1", "v2"):
            await cluster.version(name)
        await cluster.deployment("v1")
        async with cluster.gateway():
            async with cluster.keeper():
                await cluster.until(lambda: cluster.status().get("phase") == "Healthy")
            async with cluster.keeper(pod_template=template(folder, annotations)):
                await cluster.deployment("v2", strategy={**STEPS, "gates": {"goldenSet": {**GOLDEN, **gate}}})
                yield cluster


def report(words: str, *, passed: bool) -> str:
    return json.dumps({"passed": passed, "words": words})


def verified(cluster: Stage, name: str = "v2") -> Json:
    """The condition of a ModelVersion."""
    found = cluster.find(kinds.MODEL_VERSIONS, name) or {}
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == "Verified"), {})


async def test_a_version_that_passes_is_rolled_and_written_down(tmp_path: Path) -> None:
    """`Verified` has the figures, and the same bundle under another name needs no second Job."""
    ends = {"exit-code": "0", "message": report("category/top1 0.91 of 800", passed=True)}
    async with gated(tmp_path, ends) as cluster:
        await cluster.until(lambda: cluster.status().get("stable") == "v2")
        told = verified(cluster)
        assert (told["status"], told["message"]) == ("True", "goldenSet: category/top1 0.91 of 800")
        (job,) = cluster.all(kinds.JOBS)
        await cluster.version("again", image="registry.example/pod:v2")
        await cluster.deployment("again", strategy=STEPS)
        await cluster.until(lambda: cluster.status().get("stable") == "again")
        uids = {one["metadata"]["uid"] for one in cluster.all(kinds.JOBS)}
        assert uids <= {job["metadata"]["uid"]}


async def test_a_version_that_fails_is_taken_back(tmp_path: Path) -> None:
    """Exit code 3 with a report: no second try, no pod that serves, and the figures everywhere."""
    ends = {"exit-code": "3", "message": report("category/top1 0.61 of 800", passed=False)}
    async with gated(tmp_path, ends) as cluster:
        await cluster.until(lambda: cluster.status().get("rejected") == "v2")
        await cluster.until(lambda: cluster.condition("Progressing").get("reason") == "GateFailed")
        assert "0.61 of 800" in cluster.condition("Progressing")["message"]
        assert cluster.status()["phase"] == "Degraded"
        assert (verified(cluster)["status"], verified(cluster)["reason"]) == ("False", "GateFailed")
        assert (cluster.weights(), cluster.replicas("v2")) == ({"v1": 10_000}, None)
        assert "RolloutAborted" in cluster.events()


_SILENT: dict[str, tuple[dict[str, str], Json, str]] = {
    "an image that cannot be pulled": ({"fail": "image"}, {}, "cannot start: ImagePullBackOff"),
    "a crash that has the same exit code": ({"exit-code": "3", "message": "Traceback"}, {}, "Traceback"),
    "an end without a report": ({"exit-code": "0"}, {}, "ended without a report"),
    "a report that says otherwise than its end": (
        {"exit-code": "0", "message": report("0 of 0 checks", passed=False)}, {}, "0 of 0 checks",
    ),
    "too long": ({}, {"deadlineSeconds": 1}, "DeadlineExceeded"),
}  # fmt: skip


@pytest.mark.parametrize(("ends", "gate", "words"), _SILENT.values(), ids=_SILENT)
async def test_what_proves_nothing_is_for_people(
    tmp_path: Path, ends: dict[str, str], gate: Json, words: str
) -> None:
    """It neither passes nor fails: nothing is promoted, nothing is rejected, and it is told why."""
    async with gated(tmp_path, ends, **gate) as cluster:
        await cluster.until(lambda: cluster.condition("Paused").get("reason") == "GateInconclusive")
        assert words in cluster.condition("Paused")["message"]
        assert cluster.weights() == {"v1": 10_000}
        assert (cluster.status().get("rejected"), verified(cluster)) == (None, {})


async def test_who_gives_up_ends_the_job(tmp_path: Path) -> None:
    """Job and pod go where nobody waits for them any more."""
    async with gated(tmp_path, {}) as cluster:
        await cluster.until(lambda: cluster.status().get("gate") == "goldenSet")
        await cluster.request("abort", "1")
        await cluster.until(lambda: not cluster.all(kinds.JOBS))
        await cluster.until(
            lambda: not [one for one in cluster.all(kinds.PODS) if kinds.GATE in one["metadata"]["labels"]]
        )


async def test_a_quota_without_room_holds_the_version_up(tmp_path: Path) -> None:
    """With the figures, until there is room."""

    def quota(pods: str) -> Json:
        return {"metadata": {"name": "few"}, "spec": {"hard": {"pods": pods}}}

    async with stage(tmp_path) as cluster:
        for name in ("v1", "v2"):
            await cluster.version(name)
        await cluster.deployment("v1")
        await cluster.put(kinds.RESOURCE_QUOTAS, quota("2"))
        async with cluster.gateway(rate=15.0), cluster.keeper():
            await cluster.until(lambda: cluster.status().get("phase") == "Healthy")
            await cluster.deployment("v2", strategy={**STEPS, "gates": {"capacity": {}}})
            await cluster.until(lambda: cluster.condition("Paused").get("reason") == "GateWaiting")
            words = "0 pods of 10 by the namespace's quota; needed are 15"
            assert words in cluster.condition("Paused")["message"]
            await cluster.put(kinds.RESOURCE_QUOTAS, quota("9"))
            await cluster.until(lambda: cluster.status().get("stable") == "v2")
