"""The operator's custom resources, as an API server takes them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.api_client import Api

Json = dict[str, Any]
_ROOT = Path(__file__).parents[2]
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
    "a route": (
        "TrafficRoute",
        {
            "name": "it", "versions": [{"name": "v1", "weight": 9000}, {"name": "v2", "weight": 1000}],
            "pins": [{"tenant": "acme", "version": "v2"}], "mirrors": [{"version": "v2", "share": 500}],
            "epoch": "7", "failureVerdict": "VERDICT_REVIEW",
        },
    ),
    "a policy": (
        "ModerationPolicy",
        {
            "version": "1",
            "policies": [{"policy": "prohibited_ads", "labels": [{
                "label": "qr_code",
                "steps": [{"action": "ACTION_BLOCK", "threshold": 0.9, "sources": ["barcode"]}],
            }]}],
            "vocabulary": {"categories": [{"name": "swimwear", "words": ["bikini"]}]},
            "failure": {"fallback": "FALLBACK_CHEAP_TIER"},
        },
    ),
    "a registry": (
        "BrandRegistry",
        {
            "version": "3",
            "brands": [{
                "id": "acme", "displayName": "Acme", "territories": ["DE"],
                "marks": [{"referenceId": "acme-1", "image": "iVBORw0KGgo="}],
                "words": [{"referenceId": "acme-w", "text": "ACME", "variants": ["A.C.M.E."]}],
                "authorisations": [{"seller": "s1", "validUntil": "2030-01-01T00:00:00Z"}],
            }],
        },
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
    "weights that do not sum": ("a route", {"versions": [{"name": "v1", "weight": 9999}]}, "sum to 10000"),
    "a version of no weight there can be": (
        "a route", {"versions": [{"name": "v1", "weight": 10_001}]}, "spec.versions[0].weight",
    ),
    "a version twice": (
        "a route", {"versions": [{"name": "v1", "weight": 10_000}, {"name": "v1"}]}, "twice",
    ),
    "a pin to a version that is not there": ("a route", {"pins": [{"version": "v3"}]}, "pins: a version"),
    "a copy to a version that is not there": (
        "a route", {"mirrors": [{"version": "v3", "share": 1}]}, "mirrors: a version",
    ),
    "a failure that publishes": ("a route", {"failureVerdict": "VERDICT_ALLOW"}, "must not publish"),
    "a verdict there is not": ("a route", {"failureVerdict": "HOLD"}, "spec.failureVerdict"),
    "an epoch in words": ("a route", {"epoch": "seven"}, "spec.epoch"),
    "a route of another name": ("a route", {"name": "other"}, "metadata.name"),
    "a policy that judges nothing": ("a policy", {"policies": []}, "spec.policies"),
    "a policy without version": ("a policy", {"version": ""}, "spec.version"),
    "a step for no reason": (
        "a policy",
        {"policies": [{"policy": "p", "labels": [{"label": "l", "steps": [{"action": "ACTION_NOTE"}]}]}]},
        "threshold or targetPrecision",
    ),
    "a step for two reasons": (
        "a policy",
        {"policies": [{"policy": "p", "labels": [{"label": "l", "steps": [
            {"action": "ACTION_NOTE", "threshold": 0.5, "targetPrecision": 0.9},
        ]}]}]},
        "not both",
    ),
    "a score above one": (
        "a policy",
        {"policies": [{"policy": "p", "labels": [{"label": "l", "steps": [
            {"action": "ACTION_NOTE", "threshold": 1.5},
        ]}]}]},
        "steps[0].threshold",
    ),
    "a registry without brands": ("a registry", {"brands": []}, "spec.brands"),
    "a mark that is no base64": (
        "a registry", {"brands": [{"id": "a", "marks": [{"referenceId": "r", "image": "?"}]}]}, "image",
    ),
    "an end that is no time": (
        "a registry",
        {"brands": [{"id": "a", "authorisations": [{"seller": "s", "validUntil": "tomorrow"}]}]},
        "validUntil",
    ),
}  # fmt: skip


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


def test_a_changed_route_has_a_greater_epoch(api: Api, namespace: str, definitions: dict[str, str]) -> None:
    """In numbers or, as the mapping has them, in text; the same route may be sent again and again."""
    kind, spec = GOOD["a route"]
    where = path(namespace, definitions[kind])
    assert api.post(where, made(kind, spec)).code == 201
    assert api.patch(f"{where}/it", {"spec": spec}).code == 200
    for epoch in ("7", 6, 7):
        answer = api.patch(f"{where}/it", {"spec": {"pins": [], "epoch": epoch}})
        assert answer.code == 422
        assert "epoch: give the changed route a greater one" in answer.body["message"]
    assert api.patch(f"{where}/it", {"spec": {"pins": [], "epoch": "10"}}).code == 200
    assert api.patch(f"{where}/it", {"spec": {"mirrors": [], "epoch": 11}}).code == 200


def test_kubectl_would_show_what_became_of_a_route(
    api: Api, namespace: str, definitions: dict[str, str]
) -> None:
    """Its epoch, and what gateways made of it."""
    kind, spec = GOOD["a route"]
    where = path(namespace, definitions[kind])
    assert api.post(where, made(kind, spec)).code == 201
    said = {
        "type": "Accepted",
        "status": "True",
        "reason": "Valid",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    assert api.patch(f"{where}/it/status", {"status": {"conditions": [said]}}).code == 200
    table = api.get(where, {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}).body
    assert [one["name"] for one in table["columnDefinitions"] if not one["priority"]] == [
        "Name", "Epoch", "Accepted", "Age",
    ]  # fmt: skip
    assert table["rows"][0]["cells"][:4] == ["it", "7", "VERDICT_REVIEW", "True"]


FILES_AS_SPECS = {
    "the shipped policy": ("ModerationPolicy", "gateway/ostiary_gateway/defaults/policy.yaml"),
    "a registry": ("BrandRegistry", "tests/data/brand-registry.yaml"),
}


@pytest.mark.parametrize(("kind", "file"), FILES_AS_SPECS.values(), ids=FILES_AS_SPECS)
def test_what_files_hold_objects_hold(
    api: Api, namespace: str, definitions: dict[str, str], kind: str, file: str
) -> None:
    """The same text is a spec, of an object that is called as it says; nothing is pruned."""
    spec = json.loads(json.dumps(yaml.safe_load((_ROOT / file).read_text(encoding="utf-8")), default=str))
    for brand in spec.get("brands", ()):
        for mark in brand.get("marks", ()):
            mark |= {"image": "iVBORw0KGgo="}
            mark.pop("imageFile", None)
    written = {**made(kind, spec), "metadata": {"name": spec["name"]}}
    answer = api.post(path(namespace, definitions[kind]), written, fieldValidation="Strict")
    assert answer.code == 201, answer.data
    assert answer.body["spec"] == spec


def test_the_pages_examples_are_taken(api: Api, namespace: str, definitions: dict[str, str]) -> None:
    """Each resource that docs/rollouts.md shows is one."""
    page = (_ROOT / "docs/rollouts.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        example = yaml.safe_load(block)
        answer = api.post(path(namespace, definitions[example["kind"]]), example)
        assert answer.code == 201, answer.data
