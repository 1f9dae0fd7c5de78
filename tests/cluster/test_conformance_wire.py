"""Kubernetes' protobuf: what Go clients send for the kinds that they have types of."""

import http.client
from typing import Any

import pytest

from cluster.api_client import Api
from cluster.shapes import config_map, deployment, widget
from ostiary_operator.sandbox.api import wire

Json = dict[str, Any]
_SENT = {"Content-Type": wire.MEDIA_TYPE}
_WANTED = {"Accept": wire.MEDIA_TYPE}


def without_nulls(value: Any) -> Any:
    """JSON as protobuf has it, which knows no null."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("where", "obj"),
    [
        pytest.param("/api/v1/namespaces/{}/configmaps", config_map(), id="configmap"),
        pytest.param(
            "/apis/apps/v1/namespaces/{}/deployments", deployment(replicas=0, paused=True), id="deployment"
        ),
        pytest.param(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": "one"},
                "spec": {"holderIdentity": "a", "renewTime": "2026-01-02T03:04:05.000006Z"},
            },
            id="lease",
        ),
        pytest.param(
            "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": "one"},
                "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"a": "b"}}},
            },
            id="budget",
        ),
    ],
)
def test_objects_come_and_go_in_protobuf(api: Api, namespace: str, where: str, obj: Json) -> None:
    """What is sent in protobuf is what JSON shows, and what protobuf shows is what JSON does."""
    path = where.format(namespace)
    answer = api.post(path, wire.encode(obj), _SENT | _WANTED)
    assert (answer.code, answer.headers["content-type"]) == (201, wire.MEDIA_TYPE), answer.data
    plain = api.get(f"{path}/{obj['metadata']['name']}").body
    assert wire.decode(answer.data)["metadata"]["uid"] == plain["metadata"]["uid"]
    word = "data" if "data" in obj else "spec"
    assert wire.decode(answer.data)[word] == without_nulls(plain[word])
    for key, value in obj[word].items():
        if not isinstance(value, dict):
            assert plain[word][key] == value


def test_how_to_delete_comes_in_protobuf(api: Api, maps: str, widgets: str) -> None:
    """Options of a deletion hold in protobuf too, whatever is deleted."""
    made = api.made(maps, config_map())
    other = {"uid": "00000000-0000-0000-0000-000000000000"}
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": other}
    refused = api.send("DELETE", f"{maps}/one", wire.encode(options), _SENT)
    assert (refused.code, refused.reason) == (409, "Conflict")
    options["preconditions"] = {"uid": made["metadata"]["uid"]}
    assert api.send("DELETE", f"{maps}/one", wire.encode(options), _SENT).code == 200
    api.made(widgets, widget())
    options["preconditions"] = other
    assert api.send("DELETE", f"{widgets}/one", wire.encode(options), _SENT).code == 409


def test_a_review_in_protobuf(api: Api, namespace: str) -> None:
    """What `kubectl auth can-i` asks."""
    attributes = {"namespace": namespace, "verb": "get", "resource": "pods"}
    review: Json = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    review["spec"] = {"resourceAttributes": attributes}
    answer = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", wire.encode(review), _SENT)
    assert answer.body["status"]["allowed"] is True


def test_custom_resources_are_not_made_of_protobuf(api: Api, widgets: str) -> None:
    """Nothing is: it is an unsupported media type, or the server hangs up, as some releases do."""
    try:
        assert api.post(widgets, wire.encode(config_map()), _SENT).code == 415
    except http.client.RemoteDisconnected:
        api.close()
    assert not api.get(widgets).body["items"]


def test_custom_resources_have_no_protobuf(api: Api, widgets: str) -> None:
    """They are not acceptable to who takes nothing else."""
    api.made(widgets, widget())
    assert api.get(f"{widgets}/one", _WANTED).code == 406
    either = {"Accept": f"{wire.MEDIA_TYPE},application/json"}
    assert api.get(f"{widgets}/one", either).body["spec"]["size"] == 3


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"no protobuf", id="other bytes"),
        pytest.param(wire.encode(config_map())[:-20], id="cut off"),
        pytest.param(wire.encode(config_map()).replace(b"ConfigMap", b"Configmap"), id="unknown kind"),
    ],
)
def test_protobuf_that_cannot_be_read(api: Api, maps: str, body: bytes) -> None:
    """Bytes that are no message, or of no kind, are a bad request."""
    answer = api.post(maps, body, _SENT)
    assert (answer.code, answer.reason) == (400, "BadRequest"), answer.data
