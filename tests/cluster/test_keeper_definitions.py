"""The operator's custom resources, as an API server takes them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.api_client import Answer, Api

Json = dict[str, Any]
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FILES = sorted((Path(__file__).parents[2] / "manifests/crds").glob("*.yaml"))
CAPACITY = {"points": [{"concurrency": 1, "checksPerSecond": 10.0}]}
GOOD: dict[str, tuple[str, Json]] = {
    "a version": (
        "ModelVersion",
        {
            "model": "qwen", "version": "2", "image": "pod:2", "checksPerSecond": 9.5,
            "artifact": {"uri": "s3://bundles/qwen-2", "digest": f"sha256:{'0' * 64}"},
        },
    ),
    "a deployment": (
        "ModelDeployment",
        {
            "model": "qwen", "versionRef": {"name": "qwen-2"}, "replicas": 3,
            "strategy": {"canary": {"steps": [
                {"setWeight": 1000}, {"pauseSeconds": 60},
                {"analysis": {"template": "canary"}}, {"pause": True},
            ]}},
        },
    ),
    "a template": (
        "AnalysisTemplate",
        {
            "minSamples": 500,
            "metrics": [
                {"name": "errors", "compare": {"figure": "errors", "margin": 0.01}},
                {"name": "busy", "prometheus": {"query": "up", "atMost": 1}},
            ],
        },
    ),
    "a run": (
        "AnalysisRun",
        {
            "model": "qwen", "candidate": "qwen-2", "baseline": "qwen-1", "minSamples": 500,
            "metrics": [{"name": "errors", "compare": {"figure": "errors", "margin": 0.01}}],
        },
    ),
    "a rollback": (
        "ModelOverride",
        {
            "target": "qwen", "order": "Rollback", "reason": "flags nothing", "actor": "ann",
            "expiresAt": "2030-01-01T00:00:00Z",
        },
    ),
    "an autoscaler": (
        "GPUAutoscaler",
        {"scaleTargetRef": {"name": "qwen-2"}, "maxReplicas": 8, "capacity": CAPACITY},
    ),
}  # fmt: skip
BAD: dict[str, tuple[str, Json, str]] = {
    "a version without digest": ("a version", {"artifact": {"uri": "s3://x"}}, "spec.artifact.digest"),
    "a digest of another kind": (
        "a version", {"artifact": {"uri": "s3://x", "digest": "md5:00"}}, "spec.artifact.digest",
    ),
    "a version that carries nothing": ("a version", {"checksPerSecond": 0}, "spec.checksPerSecond"),
    "a step that says two things": (
        "a deployment",
        {"strategy": {"canary": {"steps": [{"setWeight": 10, "pause": True}]}}},
        "exactly one of setWeight, pause",
    ),
    "a weight above all": (
        "a deployment", {"strategy": {"canary": {"steps": [{"setWeight": 10_001}]}}}, "setWeight",
    ),
    "no replicas": ("a deployment", {"replicas": 0}, "spec.replicas"),
    "a metric that is both": (
        "a template",
        {"metrics": [{"name": "a", "compare": {"figure": "errors", "margin": 0},
                      "prometheus": {"query": "q", "atMost": 1}}]},
        "exactly one of compare and prometheus",
    ),
    "a query without bounds": (
        "a template",
        {"metrics": [{"name": "a", "prometheus": {"query": "q"}}]},
        "give atLeast, atMost or both",
    ),
    "no samples": ("a template", {"minSamples": 0}, "spec.minSamples"),
    "a pin to nothing": ("a rollback", {"order": "Pin"}, "a Pin needs it"),
    "a freeze to something": ("a rollback", {"order": "Freeze", "toVersion": "v1"}, "a Freeze has none"),
    "no end": ("a rollback", {"expiresAt": None}, "expiresAt"),
    "fewer than the least": ("an autoscaler", {"minReplicas": 9}, "at most maxReplicas"),
    "to zero for everybody": ("an autoscaler", {"minReplicas": 0}, "0 needs bulkOnly"),
}  # fmt: skip


@pytest.fixture(scope="module")
def definitions(server: tuple[Api, dict[str, str]]) -> Iterator[dict[str, str]]:
    """The plural of each kind, with all of them defined."""
    api, _ = server
    plurals = {}
    for file in FILES:
        written = yaml.safe_load(file.read_text(encoding="utf-8"))
        made = api.post(_DEFINITIONS, written)
        assert made.code == 201, made.data
        plurals[written["spec"]["names"]["kind"]] = written["spec"]["names"]["plural"]
        api.until(f"{_DEFINITIONS}/{written['metadata']['name']}", _established)
    yield plurals
    for file in FILES:
        api.delete(f"{_DEFINITIONS}/{yaml.safe_load(file.read_text(encoding='utf-8'))['metadata']['name']}")


def _established(answer: Answer) -> bool:
    said = {one["type"]: one["status"] for one in answer.body.get("status", {}).get("conditions", ())}
    return said.get("Established") == said.get("NamesAccepted") == "True"


def made(kind: str, spec: Json) -> Json:
    return {"apiVersion": "ostiary.dev/v1alpha1", "kind": kind, "metadata": {"name": "it"}, "spec": spec}


def path(namespace: str, plural: str) -> str:
    return f"/apis/ostiary.dev/v1alpha1/namespaces/{namespace}/{plural}"


@pytest.mark.parametrize(("kind", "spec"), GOOD.values(), ids=GOOD)
def test_each_kind_is_taken(
    api: Api, namespace: str, definitions: dict[str, str], kind: str, spec: Json
) -> None:
    """With its defaults filled in, and nothing pruned."""
    answer = api.post(path(namespace, definitions[kind]), made(kind, spec))
    assert answer.code == 201, answer.data
    assert (
        answer.body["spec"].items()
        >= {key: value for key, value in spec.items() if not isinstance(value, dict | list)}.items()
    )


@pytest.mark.parametrize(("good", "changes", "words"), BAD.values(), ids=BAD)
def test_what_makes_no_sense_is_refused(
    api: Api, namespace: str, definitions: dict[str, str], good: str, changes: Json, words: str
) -> None:
    """Invalid, with the field or the rule that was broken."""
    kind, spec = GOOD[good]
    answer = api.post(path(namespace, definitions[kind]), made(kind, spec | changes))
    assert (answer.code, answer.reason) == (422, "Invalid"), answer.data
    assert words in answer.body["message"]


def test_a_version_never_changes(api: Api, namespace: str, definitions: dict[str, str]) -> None:
    """What was rolled stays what it was."""
    kind, spec = GOOD["a version"]
    where = path(namespace, definitions[kind])
    assert api.post(where, made(kind, spec)).code == 201
    answer = api.patch(f"{where}/it", {"spec": {"image": "pod:3"}})
    assert answer.code == 422
    assert "a ModelVersion never changes" in answer.body["message"]


def test_the_pages_examples_are_taken(api: Api, namespace: str, definitions: dict[str, str]) -> None:
    """Each resource that docs/rollouts.md shows is one."""
    page = (Path(__file__).parents[2] / "docs/rollouts.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        example = yaml.safe_load(block)
        answer = api.post(path(namespace, definitions[example["kind"]]), example)
        assert answer.code == 201, answer.data
