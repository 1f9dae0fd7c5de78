"""What `manifests/` says: the keeper's rules against its calls, examples against the definitions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.keeper.stage import MANIFESTS, Stage, stage
from ostiary_operator.cluster import kinds
from ostiary_operator.sandbox.api.rbac import Authorizer, Question
from ostiary_operator.sandbox.api.request import Caller, Write

Json = dict[str, Any]
RBAC = MANIFESTS / "base/keeper/rbac.yaml"
EXAMPLES = sorted((MANIFESTS / "examples").glob("*.yaml"))
ACCOUNT = "system:serviceaccount:default:ostiary-keeper"
# The get of an object, and what is done about an Event that is there: where somebody else was quicker. API
# servers ask for create where an apply makes an object; the sandbox does not.
NOT_ASKED_HERE = {
    ("create", "trafficroutes"),
    ("get", "modeldeployments"), ("get", "modelversions"), ("get", "modeloverrides"), ("get", "analysisruns"),
    ("get", "gpuautoscalers"),
    ("get", "jobs"),
    ("get", "deployments"), ("get", "services"), ("get", "events"), ("patch", "events"),
}  # fmt: skip


class Recording(Authorizer):
    """Remembers what the keeper asks for, and whether it was refused."""

    def __init__(self, allowed: Authorizer) -> None:
        self._allowed = allowed
        self.asked: set[tuple[str, str]] = set()
        self.refused: set[tuple[str, str, str]] = set()

    def allows(self, caller: Caller, question: Question) -> bool:
        holds = self._allowed.allows(caller, question)
        if caller.name == ACCOUNT and question.resource:
            if holds:
                self.asked.add((question.verb, question.plural))
            else:
                self.refused.add((question.verb, question.plural, question.name))
        return holds


def rules() -> Iterator[tuple[str, str]]:
    """Verbs and resources of the keeper's Role."""
    for one in yaml.safe_load_all(RBAC.read_text(encoding="utf-8")):
        for rule in one.get("rules", ()):
            for resource in rule["resources"]:
                yield from ((verb, resource) for verb in rule["verbs"])


async def grant(cluster: Stage) -> str:
    """Applies the keeper's rules; the token of its service account."""
    for one in yaml.safe_load_all(RBAC.read_text(encoding="utf-8")):
        group, _, version = one["apiVersion"].rpartition("/")
        plural = f"{one['kind'].lower()}s"
        if one["kind"] == "RoleBinding":
            one["subjects"][0]["namespace"] = "default"
        await cluster.cluster.operations.create(
            cluster.cluster.resource(group, version, plural), "default", one, Write()
        )
    return cluster.cluster.token(Caller(ACCOUNT, (), "keeper"))


async def test_the_keeper_may_do_what_it_does_and_no_more(tmp_path: Path) -> None:
    """A gate that is given up, a roll with an analysis, an order, an autoscaler that takes a pod away and a
    stop, under the rules of the manifest: nothing that it needs is refused, and no rule allows what it never
    asks.
    """
    async with stage(tmp_path) as cluster:
        server = cluster.cluster.server
        recording = Recording(server._authorizer)
        server._authorizer = recording
        token = await grant(cluster)
        for name in ("v1", "v2"):
            await cluster.version(name)
        metric = {"name": "up", "prometheus": {"query": "up", "atLeast": 1}}
        template = {"minSamples": 5, "metrics": [metric]}
        await cluster.put(kinds.ANALYSIS_TEMPLATES, {"metadata": {"name": "canary"}, "spec": template})
        await cluster.deployment("v1", warm={"versions": 0})
        async with cluster.gateway(), cluster.keeper(token):
            await cluster.until(lambda: cluster.status().get("phase") == "Healthy")
            capacity = {"points": [{"concurrency": 1, "checksPerSecond": 10.0}]}
            most_one = {"scaleTargetRef": {"name": "v1"}, "maxReplicas": 1, "capacity": capacity}
            await cluster.put(kinds.GPU_AUTOSCALERS, {"metadata": {"name": "v1"}, "spec": most_one})
            await cluster.until(lambda: cluster.replicas("v1") == 1)
            await cluster.until(lambda: cluster.all(kinds.GPU_AUTOSCALERS)[0].get("status"))
            bounds = [{"figure": "category/top1", "atLeast": 0.7}]
            gates = {"goldenSet": {"folder": "configmap://golden", "bounds": bounds}}
            gated = {"canary": {"steps": [{"setWeight": 1000}]}, "gates": gates}
            await cluster.deployment("v2", warm={"versions": 0}, strategy=gated)
            await cluster.until(lambda: cluster.status().get("gate"))
            await cluster.deployment("v1", warm={"versions": 0})
            await cluster.until(lambda: not cluster.all(kinds.JOBS))
            steps = [{"setWeight": 1000}, {"analysis": {"template": "canary"}}]
            await cluster.deployment("v2", warm={"versions": 0}, strategy={"canary": {"steps": steps}})
            await cluster.until(lambda: any(one.get("status") for one in cluster.all(kinds.ANALYSIS_RUNS)))
            await cluster.order("back")
            await cluster.until(lambda: cluster.weights() == {"v1": 10_000})
            await cluster.until(lambda: not cluster.all(kinds.ANALYSIS_RUNS) and cluster.replicas("v2") == 0)
        lease = cluster.find(kinds.LEASES, "ostiary-keeper")
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == ""
    assert recording.refused == set()
    assert recording.asked <= set(rules())
    assert set(rules()) - recording.asked <= NOT_ASKED_HERE


@pytest.fixture(scope="module")
def kinds_known() -> dict[str, str]:
    """Plurals of the definitions, by kind."""
    found = {}
    for path in (MANIFESTS / "crds").glob("*.yaml"):
        names = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["names"]
        found[names["kind"]] = names["plural"]
    return found


def test_each_kind_has_an_example(kinds_known: dict[str, str]) -> None:
    """No definition without one, and none of what there is not."""
    shown = {yaml.safe_load(path.read_text(encoding="utf-8"))["kind"] for path in EXAMPLES}
    assert shown == set(kinds_known)


async def test_examples_are_taken(tmp_path: Path, kinds_known: dict[str, str]) -> None:
    """The API server takes every example as it stands."""
    async with stage(tmp_path, controllers=False) as cluster:
        for path in EXAMPLES:
            one = yaml.safe_load(path.read_text(encoding="utf-8"))
            where = cluster.cluster.resource("ostiary.dev", "v1alpha1", kinds_known[one["kind"]])
            made = await cluster.cluster.operations.create(where, "default", one, Write())
            assert made["metadata"]["uid"], path.name
