"""Who may do what: tokens, roles, reviews, and acting as others."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from cluster.api_client import Api
from cluster.shapes import config_map, widget

Json = dict[str, Any]
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def alice(api: Api, users: dict[str, str]) -> Iterator[Api]:
    """A user with no rights but those that a test gives her."""
    other = api.acting_as(users["alice"])
    yield other
    other.close()


def test_an_unknown_token_is_nobody(api: Api, maps: str) -> None:
    """A token that nobody has is Unauthorized; without one the caller is anonymous, and forbidden."""
    with closing(api.acting_as("no-such-token")) as nobody:
        answer = nobody.get(maps)
    assert (answer.code, answer.reason) == (401, "Unauthorized")
    with closing(api.acting_as("")) as anonymous:
        answer = anonymous.get(maps)
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot list resource "configmaps"' in answer.body["message"]


def test_without_a_role_nothing_is_allowed(alice: Api, maps: str, namespace: str) -> None:
    """A refusal says who, what and where."""
    answer = alice.get(maps)
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert answer.body["message"] == (
        'configmaps is forbidden: User "alice" cannot list resource "configmaps" in API group "" '
        f'in the namespace "{namespace}"'
    )


def grant(api: Api, namespace: str, *rules: Json, user: str = "alice") -> None:
    """Gives a user a role in a namespace."""
    path = f"{_RBAC}/namespaces/{namespace}"
    api.made(f"{path}/roles", {"metadata": {"name": "some"}, "rules": list(rules)})
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"}
    api.made(
        f"{path}/rolebindings", {"metadata": {"name": "some"}, "subjects": [subject], "roleRef": reference}
    )


def test_a_role_allows_what_it_says(api: Api, alice: Api, maps: str, namespace: str) -> None:
    """Verbs, resources and names of a rule hold, in its namespace."""
    api.made(maps, config_map("mine"))
    api.made(maps, config_map("other"))
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["mine"]}
    grant(api, namespace, rule)
    alice.until(f"{maps}/mine", lambda answer: answer.code == 200)
    assert alice.get(f"{maps}/other").code == 403
    assert alice.delete(f"{maps}/mine").code == 403
    assert alice.get("/api/v1/namespaces/default/configmaps/mine").code == 403


def test_subresources_are_allowed_by_name(api: Api, alice: Api, namespace: str, widgets: str) -> None:
    """The right to a resource is none to its status."""
    api.made(widgets, widget())
    rule = {"apiGroups": ["conformance.ostiary.dev"], "resources": ["widgets"], "verbs": ["get", "patch"]}
    grant(api, namespace, rule)
    alice.until(f"{widgets}/one", lambda answer: answer.code == 200)
    assert alice.patch(f"{widgets}/one", {"spec": {"size": 4}}).code == 200
    assert alice.patch(f"{widgets}/one/status", {"status": {"replicas": 1}}).code == 403


def test_one_can_ask_what_one_may(api: Api, alice: Api, namespace: str, maps: str) -> None:
    """A SelfSubjectAccessReview answers as the request itself would be."""
    grant(api, namespace, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]})
    alice.until(maps, lambda answer: answer.code == 200)
    for verb, allowed in (("list", True), ("create", False)):
        attributes = {"namespace": namespace, "verb": verb, "resource": "configmaps"}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        answer = alice.post(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            review | {"spec": {"resourceAttributes": attributes}},
        )
        assert answer.code == 201
        assert answer.body["status"]["allowed"] is allowed


def test_others_can_be_asked_about(api: Api) -> None:
    """A SubjectAccessReview answers for somebody else."""
    spec = {"user": "alice", "resourceAttributes": {"verb": "delete", "resource": "nodes"}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.body["status"]["allowed"] is False


def test_a_binding_keeps_its_role(api: Api, namespace: str) -> None:
    """The role that a binding refers to cannot be changed."""
    grant(api, namespace, {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]})
    path = f"{_RBAC}/namespaces/{namespace}/rolebindings/some"
    answer = api.patch(path, {"roleRef": {"name": "another"}})
    assert (answer.code, answer.reason) == (422, "Invalid")


@pytest.mark.parametrize("kind", ["User", "ServiceAccount"])
def test_who_may_act_as_others(api: Api, users: dict[str, str], namespace: str, maps: str, kind: str) -> None:
    """The administrator acts as others and has their rights then; others may not."""
    who = "alice" if kind == "User" else f"system:serviceaccount:{namespace}:robot"
    answer = api.get(maps, {"Impersonate-User": who})
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert f'User "{who}" cannot list resource "configmaps"' in answer.body["message"]
    assert api.get(maps, {"Impersonate-User": who, "Impersonate-Group": "system:masters"}).code == 200
    alice = api.acting_as(users["alice"])
    answer = alice.get(maps, {"Impersonate-User": who})
    alice.close()
    assert (answer.code, answer.reason) == (403, "Forbidden")
