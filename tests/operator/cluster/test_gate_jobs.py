"""What a gate's Job is made of, what one that is there says, and for how many pods quotas have room."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from bench.keeper.stage import DIGEST, TEMPLATE
from ostiary_operator.cluster.gate_jobs import gate_job, gate_seen
from ostiary_operator.cluster.kinds import ATTEMPT, GATE, MODEL, VERSION
from ostiary_operator.cluster.room import room
from ostiary_operator.resources.gates import Gates
from ostiary_operator.resources.model_version import GpuRequest, ModelVersionSpec
from ostiary_operator.rollout.actions import StartGate

Json = dict[str, Any]
BATCH = "batch.kubernetes.io/"
OWNER: Json = {"metadata": {"name": "qwen", "namespace": "shop", "uid": "1"}}
GATES = Gates.model_validate(
    {
        "goldenSet": {
            "folder": "pvc://golden/2026",
            "bounds": [
                {"figure": "category/top1", "atLeast": 0.7}, {"figure": "prohibited_ads/ece", "atMost": 0.1},
            ],
            "deadlineSeconds": 900,
        },
        "replay": {
            "policy": "policy-2", "flipBudget": "0.5%", "since": "7d", "gateway": "gateway",
            "credentials": "record", "image": "gateway:1",
        },
    }
)  # fmt: skip


def made(name: str, uri: str = "oci://registry.example/qwen") -> Json:
    """A gate's Job of a version with a GPU."""
    spec = {
        "model": "qwen", "version": "2", "image": "pod:2", "checksPerSecond": 10.0,
        "artifact": {"uri": uri, "digest": DIGEST},
    }  # fmt: skip
    gate = GATES.jobs[name]  # type: ignore[index]
    action = StartGate("v2-gate", name, "v2", 3)  # type: ignore[arg-type]
    template = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    return gate_job(OWNER, action, ModelVersionSpec.model_validate(spec), gate, template)


def test_a_golden_set_is_judged_as_the_version_serves() -> None:
    """Its image, bundle, GPU and safeguards; no port, no probe, no key, and no label that traffic follows."""
    job = made("goldenSet")
    pod = job["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "pod:2"
    assert container["args"] == [
        "model", "eval", "--bundle", "/bundle", "--photos", "/golden", "--json",
        "--at-least=category/top1=0.7", "--at-most=prohibited_ads/ece=0.1",
        "--report", "/dev/termination-log",
    ]  # fmt: skip
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not {"ports", "readinessProbe", "livenessProbe"} & set(container)
    mounts = {one["name"]: one for one in container["volumeMounts"]}
    assert set(mounts) == {"tmp", "bundle", "golden"} == {one["name"] for one in pod["spec"]["volumes"]}
    assert mounts["golden"] | {"subPath": "2026", "readOnly": True} == mounts["golden"]
    labels = pod["metadata"]["labels"]
    assert (labels[MODEL], labels[GATE], VERSION in labels) == ("qwen", "goldenSet", False)
    assert labels["app.kubernetes.io/name"] == "ostiary-gate"
    assert (pod["spec"]["restartPolicy"], job["spec"]["activeDeadlineSeconds"]) == ("Never", 900)


def test_a_replay_takes_no_gpu() -> None:
    """Policy and settings are mounted, the record's keys are variables, the image is the one it names."""
    pod = made("replay")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert (container["image"], container["envFrom"]) == ("gateway:1", [{"secretRef": {"name": "record"}}])
    assert container["args"][:5] == ["policy", "replay", "--policy", "/policy/policy.yaml", "--flip-budget"]
    assert container["args"][-4:] == ["--since", "7d", "--config", "/gateway/gateway.yaml"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert {"policy", "gateway"} <= {one["name"] for one in pod["spec"]["volumes"]}


def test_a_bundle_in_the_image_is_judged_where_it_lies() -> None:
    """As the pod that serves finds it."""
    (container,) = made("goldenSet", "file:///bundles/qwen")["spec"]["template"]["spec"]["containers"]
    assert container["args"][3] == "/bundles/qwen"


PASSED, REFUSED = (json.dumps({"passed": told, "words": "0.7 of 800"}) for told in (True, False))
STANDS: dict[str, tuple[str, str, Json, tuple[str, str, bool]]] = {
    "just begun": ("", "", {}, ("Running", "", False)),
    "passed": (
        "Complete", "", {"terminated": {"exitCode": 0, "message": PASSED}}, ("Passed", "0.7 of 800", True),
    ),
    "failed": (
        "Failed", "PodFailurePolicy", {"terminated": {"exitCode": 3, "message": REFUSED}},
        ("Failed", "0.7 of 800", True),
    ),
    "failed with a report that says otherwise": (
        "Failed", "PodFailurePolicy", {"terminated": {"exitCode": 3, "message": PASSED}},
        ("Inconclusive", "PodFailurePolicy: m: 0.7 of 800", True),
    ),
    "ended, and the pod is not known yet": (
        "Complete", "", {"running": {}}, ("Running", "has ended; its report is waited for", False),
    ),
    "a report that is no JSON": (
        "Complete", "", {"terminated": {"exitCode": 0, "message": "done"}},
        ("Inconclusive", "ended without a report: done", True),
    ),
    "out of time": ("Failed", "DeadlineExceeded", {}, ("Inconclusive", "DeadlineExceeded: m", True)),
    "broken": (
        "Failed", "BackoffLimitExceeded", {"terminated": {"exitCode": 1, "message": "no photographs"}},
        ("Inconclusive", "BackoffLimitExceeded: m: no photographs", True),
    ),
    "an image that is not there": (
        "", "", {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
        ("Inconclusive", "pod p cannot start: ErrImagePull: not found", False),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("condition", "reason", "state", "expected"), STANDS.values(), ids=STANDS)
def test_what_a_job_says(condition: str, reason: str, state: Json, expected: tuple[str, str, bool]) -> None:
    """Only an end with a report that agrees with it says anything."""
    conditions = [
        {"type": condition, "status": "True", "reason": reason, "message": "m",
         "lastTransitionTime": "2026-01-01T00:00:00Z"},
    ]  # fmt: skip
    job = {
        "metadata": {
            "name": "v2-gate", "uid": "7", "labels": {GATE: "goldenSet", VERSION: "v2"},
            "annotations": {ATTEMPT: "3"},
        },
        "status": {"conditions": conditions if condition else []},
    }  # fmt: skip
    statuses = {"containerStatuses": [{"name": "gate", "state": state}]}
    pods = [
        {"metadata": {"name": "p", "labels": {f"{BATCH}controller-uid": "7"}}, "status": statuses},
        {"metadata": {"name": "other", "labels": {}}, "status": {"containerStatuses": [
            {"name": "gate", "state": {"terminated": {"exitCode": 0, "message": PASSED}}},
        ]}},
    ]  # fmt: skip
    found = gate_seen(job, pods, now=1_767_225_605.0)
    assert found is not None
    assert (found.phase, found.message, found.over) == expected
    assert (found.gate, found.version, found.attempt) == ("goldenSet", "v2", 3)


ROOMS: dict[str, tuple[list[tuple[Json, Json]], int | None]] = {
    "no quota": ([], None),
    "a quota of something else": ([({"services": "1"}, {})], None),
    "pods": ([({"pods": "10"}, {"pods": "6"})], 6),
    "GPUs, two a pod": ([({"requests.nvidia.com/gpu": "9"}, {"requests.nvidia.com/gpu": "4"})], 4),
    "the smallest of several": ([({"pods": "10"}, {}), ({"requests.nvidia.com/gpu": "2"}, {})], 3),
    "thousands": ([({"count/pods": "2k"}, {"count/pods": "1k"})], 1002),
    "used beyond what there is": ([({"pods": "1"}, {"pods": "5"})], 2),
    "what cannot be read": ([({"pods": "many"}, {})], 2),
}


@pytest.mark.parametrize(("quotas", "expected"), ROOMS.values(), ids=ROOMS)
def test_room_for_pods(quotas: list[tuple[Json, Json]], expected: int | None) -> None:
    """Two pods are there already, and stay."""
    told = [{"status": {"hard": hard, "used": used}} for hard, used in quotas]
    assert room(told, GpuRequest(count=2), 2) == expected
