"""What controllers do: rollouts, garbage, namespaces, gathered roles; real ones where they are named."""

import time
from typing import Any

import pytest

from cluster.api_client import Api
from cluster.shapes import config_map, deployment

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _with_controllers(api: Api) -> None:
    if not api.controllers:
        pytest.skip("KUBEBUILDER_ASSETS names no kube-controller-manager")


def owned(child: str, owner: Json, *, blocks: bool = True) -> Json:
    """A ConfigMap that belongs to another."""
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "blockOwnerDeletion": blocks}
    metadata = owner["metadata"]
    return config_map(child, ownerReferences=[reference | {"name": metadata["name"], "uid": metadata["uid"]}])


def sets_of(api: Api, namespace: str, name: str = "web") -> list[Json]:
    answer = api.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets", labelSelector=f"app={name}")
    found: list[Json] = answer.body["items"]
    return found


def test_a_deployment_makes_a_set_and_pods(api: Api, deployments: str, namespace: str) -> None:
    """The ReplicaSet has the template's hash, the revision, and as many pods as asked for."""
    made = api.made(deployments, deployment(replicas=2))
    pods = f"/api/v1/namespaces/{namespace}/pods"
    found = api.until(pods, lambda answer: len(answer.body["items"]) == 2)["items"]
    (replica_set,) = sets_of(api, namespace)
    name = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{name}"
    assert replica_set["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert replica_set["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert replica_set["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": name}
    for pod in found:
        assert pod["metadata"]["generateName"] == f"web-{name}-"
        assert pod["metadata"]["ownerReferences"][0]["uid"] == replica_set["metadata"]["uid"]


def test_another_template_is_another_revision(api: Api, deployments: str, namespace: str) -> None:
    """A new template makes a new set; the old template again makes its set the newest revision."""
    path = f"{deployments}/web"
    api.made(deployments, deployment(replicas=1))

    def image(tag: str, revision: str) -> None:
        containers = [{"name": "main", "image": f"registry.example/web:{tag}"}]
        api.patch(path, {"spec": {"template": {"spec": {"containers": containers}}}})
        key = "deployment.kubernetes.io/revision"
        api.until(path, lambda answer: answer.body["metadata"].get("annotations", {}).get(key) == revision)

    image("1", "1")
    image("2", "2")
    image("1", "3")
    assert len(sets_of(api, namespace)) == 2


def test_a_paused_deployment_makes_nothing(api: Api, deployments: str, namespace: str) -> None:
    """It is seen, and no set is made."""
    api.made(deployments, deployment(paused=True))
    api.until(
        f"{deployments}/web", lambda answer: answer.body.get("status", {}).get("observedGeneration") == 1
    )
    assert sets_of(api, namespace) == []


def test_what_is_owned_goes_with_its_owner(api: Api, maps: str) -> None:
    """By default dependents are collected after their owner."""
    owner = api.made(maps, config_map("owner"))
    api.made(maps, owned("child", owner))
    api.delete(f"{maps}/owner")
    api.until(f"{maps}/child", lambda answer: answer.code == 404)


def test_in_the_foreground_the_owner_goes_last(api: Api, maps: str) -> None:
    """An owner that is deleted in the foreground waits for what blocks it."""
    owner = api.made(maps, config_map("owner"))
    child = owned("child", owner)
    child["metadata"]["finalizers"] = ["example.dev/hold"]
    api.made(maps, child)
    answer = api.delete(f"{maps}/owner", {"propagationPolicy": "Foreground"})
    assert answer.body["metadata"]["finalizers"] == ["foregroundDeletion"]
    api.until(f"{maps}/child", lambda answer: "deletionTimestamp" in answer.body["metadata"])
    assert api.get(f"{maps}/owner").code == 200
    api.patch(f"{maps}/child", {"metadata": {"finalizers": None}})
    api.until(f"{maps}/owner", lambda answer: answer.code == 404)
    assert api.get(f"{maps}/child").code == 404


def test_orphans_stay(api: Api, maps: str) -> None:
    """An orphaning deletion takes the owner and leaves what it owned, without the reference."""
    owner = api.made(maps, config_map("owner"))
    api.made(maps, owned("child", owner))
    api.delete(f"{maps}/owner", {"propagationPolicy": "Orphan"})
    api.until(f"{maps}/owner", lambda answer: answer.code == 404)
    child = api.get(f"{maps}/child").body
    assert not child["metadata"].get("ownerReferences")


def test_a_missing_owner_is_none(api: Api, maps: str) -> None:
    """What refers to an owner that does not exist is collected."""
    nobody = {"metadata": {"name": "owner", "uid": "00000000-0000-0000-0000-000000000001"}}
    api.made(maps, owned("child", nobody))
    api.until(f"{maps}/child", lambda answer: answer.code == 404)


def test_a_namespace_goes_with_all_that_is_in_it(api: Api) -> None:
    """A deleted namespace is Terminating, takes nothing new, and goes when it is empty."""
    name = api.made("/api/v1/namespaces", {"metadata": {"generateName": "going-"}})["metadata"]["name"]
    maps = f"/api/v1/namespaces/{name}/configmaps"
    api.made(maps, config_map(finalizers=["example.dev/hold"]))
    api.delete(f"/api/v1/namespaces/{name}")
    found = api.get(f"/api/v1/namespaces/{name}").body
    assert found["status"]["phase"] == "Terminating"
    answer = api.post(maps, config_map("two"))
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert answer.causes[0]["reason"] == "NamespaceTerminating"
    api.until(f"{maps}/one", lambda answer: "deletionTimestamp" in answer.body["metadata"])
    api.patch(f"{maps}/one", {"metadata": {"finalizers": None}})
    api.until(f"/api/v1/namespaces/{name}", lambda answer: answer.code == 404)


def test_a_quota_holds(api: Api, maps: str, namespace: str) -> None:
    """What would exceed a quota is forbidden, with the numbers."""
    if not api.kubelets:
        api.until(f"{maps}/kube-root-ca.crt", lambda answer: answer.code == 200)
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    api.made(quotas, {"metadata": {"name": "few"}, "spec": {"hard": {"count/configmaps": "3"}}})
    used = api.until(f"{quotas}/few", lambda answer: "used" in answer.body.get("status", {}))["status"][
        "used"
    ]
    room = 3 - int(used["count/configmaps"])
    for number in range(room):
        api.made(maps, config_map(f"map-{number}"))
    answer = api.post(maps, config_map("more"))
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert (
        "exceeded quota: few, requested: count/configmaps=1, used: count/configmaps=3"
        in answer.body["message"]
    )


def test_a_budget_holds_pods(api: Api, deployments: str, namespace: str) -> None:
    """A pod that may not be spared is not evicted: too many requests, for this budget."""
    if not api.kubelets:
        pytest.skip("pods do not run here")
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    api.made(budgets, {"metadata": {"name": "keep"}, "spec": spec})
    api.made(deployments, deployment(replicas=2))
    api.until(f"{budgets}/keep", lambda answer: answer.body.get("status", {}).get("currentHealthy") == 2)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    name = api.get(pods).body["items"][0]["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    answer = api.post(f"{pods}/{name}/eviction", eviction)
    assert (answer.code, answer.reason) == (429, "TooManyRequests")
    assert answer.causes[0]["reason"] == "DisruptionBudget"
    api.patch(f"{deployments}/web", {"spec": {"replicas": 3}})
    api.until(f"{budgets}/keep", lambda answer: answer.body["status"]["disruptionsAllowed"] == 1)
    assert api.post(f"{pods}/{name}/eviction", eviction).code == 201
    api.until(f"{pods}/{name}", lambda answer: answer.code == 404)


@pytest.mark.parametrize(
    ("role", "verb", "resource", "allowed"),
    [
        pytest.param("view", "list", "pods", True, id="who looks sees pods"),
        pytest.param("view", "get", "secrets", False, id="and no secrets"),
        pytest.param("view", "create", "pods", False, id="and makes nothing"),
        pytest.param("edit", "update", "configmaps", True, id="who works changes maps"),
        pytest.param("edit", "get", "secrets", True, id="and reads secrets"),
        pytest.param("edit", "create", "rolebindings", False, id="and gives nobody rights"),
        pytest.param("admin", "create", "rolebindings", True, id="who runs a namespace gives rights in it"),
        pytest.param("admin", "update", "resourcequotas", False, id="within its quota"),
        pytest.param("admin", "create", "widgets", False, id="and makes no custom resources"),
    ],
)
def test_roles_that_every_cluster_has(
    api: Api, namespace: str, role: str, verb: str, resource: str, allowed: bool
) -> None:
    """view, edit and admin allow in a namespace what the documentation says of them."""
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"{role}er"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    api.made(path, {"metadata": {"name": "some"}, "subjects": [subject], "roleRef": reference})
    groups = {"rolebindings": "rbac.authorization.k8s.io", "widgets": "conformance.ostiary.dev"}
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "resource": resource,
        "group": groups.get(resource, ""),
    }
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    spec = {"user": f"{role}er", "resourceAttributes": attributes}

    def answered() -> bool:
        answer = api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review | {"spec": spec})
        return bool(answer.body["status"]["allowed"])

    deadline = time.monotonic() + (20 if allowed else 1)
    while answered() is not allowed and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answered() is allowed
