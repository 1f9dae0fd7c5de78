"""Creating, updating and deleting objects: versions, identities, conflicts and refusals."""

import pytest

from cluster.api_client import MERGE_PATCH, Api
from cluster.shapes import config_map, deployment, widget


def test_a_new_object_is_identified_and_dated(api: Api, maps: str) -> None:
    """The server sets uid, resourceVersion and creationTimestamp; a ConfigMap has no generation."""
    metadata = api.made(maps, config_map())["metadata"]
    assert metadata["uid"]
    assert metadata["resourceVersion"].isdigit()
    assert metadata["creationTimestamp"].endswith("Z")
    assert "generation" not in metadata


def test_every_write_moves_the_version(api: Api, maps: str) -> None:
    """Writes of one resource have growing versions, and an update that changes nothing is none."""
    first = api.made(maps, config_map())
    changed = api.put(f"{maps}/one", first | {"data": {"a": "2"}}).body
    assert int(changed["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    again = api.put(f"{maps}/one", changed).body
    assert again["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]


def test_generation_counts_changes_of_the_spec(api: Api, deployments: str) -> None:
    """The generation grows with the spec, and neither with metadata nor with status."""
    made = api.made(deployments, deployment(replicas=0, paused=True))
    path = f"{deployments}/web"
    assert made["metadata"]["generation"] == 1
    assert api.patch(path, {"metadata": {"labels": {"a": "b"}}}).body["metadata"]["generation"] == 1
    status = api.patch(f"{path}/status", {"status": {"observedGeneration": 1}})
    assert status.code == 200
    assert status.body["metadata"]["generation"] == 1
    assert api.patch(path, {"spec": {"minReadySeconds": 1}}).body["metadata"]["generation"] == 2


def test_a_name_is_taken_once(api: Api, maps: str) -> None:
    """A second object of the same name is AlreadyExists, with what it is about."""
    api.made(maps, config_map())
    answer = api.post(maps, config_map())
    assert (answer.code, answer.reason) == (409, "AlreadyExists")
    assert answer.body["message"] == 'configmaps "one" already exists'
    assert answer.body["details"] == {"name": "one", "kind": "configmaps"}


def test_names_are_generated(api: Api, maps: str) -> None:
    """generateName makes names with five characters of its own, a new one each time."""
    names = {api.made(maps, {"metadata": {"generateName": "part-"}})["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("part-") and len(name) == 10 for name in names)


@pytest.mark.parametrize(
    ("obj", "code", "reason", "field"),
    [
        pytest.param(config_map("Bad_Name"), 422, "Invalid", "metadata.name", id="bad name"),
        pytest.param(
            {"kind": "ConfigMap", "apiVersion": "v1"}, 422, "Invalid", "metadata.name", id="no name"
        ),
        pytest.param(config_map(labels={"a": "b c"}), 422, "Invalid", "metadata.labels", id="bad label"),
        pytest.param(config_map() | {"data": {"a": 1}}, 400, "BadRequest", None, id="wrong type"),
        pytest.param(config_map() | {"apiVersion": "v7"}, 400, "BadRequest", None, id="wrong version"),
        pytest.param(config_map() | {"kind": "Pod"}, 400, "BadRequest", None, id="wrong kind"),
        pytest.param(config_map(namespace="elsewhere"), 400, "BadRequest", None, id="another namespace"),
        pytest.param(b'{"kind": ', 400, "BadRequest", None, id="half a document"),
        pytest.param(b"[]", 400, "BadRequest", None, id="no object"),
    ],
)
def test_bad_objects_are_refused(
    api: Api, maps: str, obj: object, code: int, reason: str, field: str | None
) -> None:
    """Each refusal has the code and the reason that Kubernetes gives, and names the field."""
    answer = api.post(maps, obj)
    assert (answer.code, answer.reason) == (code, reason), answer.data
    if field is not None:
        assert field in {cause["field"] for cause in answer.causes}


def test_a_body_of_another_type_is_refused(api: Api, maps: str) -> None:
    """What is not JSON or YAML is an unsupported media type."""
    answer = api.post(maps, b"<a/>", {"Content-Type": "application/xml"})
    assert (answer.code, answer.reason) == (415, "UnsupportedMediaType")


def test_yaml_is_read(api: Api, maps: str) -> None:
    """An object can come as YAML."""
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {day: '2026-01-02'}\n"
    answer = api.post(maps, text, {"Content-Type": "application/yaml"})
    assert answer.code == 201
    assert answer.body["data"] == {"day": "2026-01-02"}


def test_a_body_that_is_too_large_is_refused(api: Api, maps: str) -> None:
    """More than three mebibytes are not read."""
    answer = api.post(maps, config_map(data={"a": "x" * (3 * 1024 * 1024 + 1000)}))
    assert (answer.code, answer.reason) == (413, "RequestEntityTooLarge")


def test_objects_that_are_too_large(api: Api, maps: str, widgets: str) -> None:
    """A map holds a mebibyte, any other object what the store takes in one request."""
    answer = api.post(maps, config_map(data={"a": "x" * 600_000, "b": "x" * 600_000}))
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert "Too long" in answer.body["message"]
    answer = api.post(widgets, widget(free={"a": "x" * 1_700_000}))
    assert answer.code == 500
    assert "request is too large" in answer.body["message"]
    assert api.get(f"{widgets}/one").code == 404


@pytest.mark.parametrize("mode", ["Strict", "Warn", "Ignore"])
def test_doubled_fields(api: Api, maps: str, mode: str) -> None:
    """A field that is there twice is refused, warned of or taken as it was last, as the caller asks."""
    text = (
        b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, '
        b'"immutable": true, "immutable": false}'
    )
    answer = api.post(maps, text, None, fieldValidation=mode)
    if mode == "Strict":
        assert (answer.code, answer.reason) == (400, "BadRequest")
        assert 'duplicate field "immutable"' in answer.body["message"]
        return
    assert answer.body["immutable"] is False
    assert ["duplicate" in warning for warning in answer.warnings] == ([True] if mode == "Warn" else [])


def test_an_answer_of_another_type_is_not_acceptable(api: Api, maps: str) -> None:
    """Whoever takes neither JSON nor anything else that is offered is told so."""
    answer = api.get(maps, {"Accept": "image/png"})
    assert answer.code == 406


@pytest.mark.parametrize("mode", ["Strict", "Warn", "Ignore"])
def test_unknown_fields(api: Api, maps: str, mode: str) -> None:
    """An unknown field is refused, warned of or dropped in silence, as the caller asks."""
    answer = api.post(maps, config_map() | {"dada": {"a": "b"}}, None, fieldValidation=mode)
    if mode == "Strict":
        assert (answer.code, answer.reason) == (400, "BadRequest")
        assert 'unknown field "dada"' in answer.body["message"]
        return
    assert answer.code == 201
    assert "dada" not in answer.body
    assert [("dada" in warning) for warning in answer.warnings] == ([True] if mode == "Warn" else [])


def test_a_stale_version_conflicts(api: Api, maps: str) -> None:
    """An update from an old version is a Conflict, by PUT as by PATCH, and changes nothing."""
    first = api.made(maps, config_map())
    api.put(f"{maps}/one", first | {"data": {"a": "2"}})
    answer = api.put(f"{maps}/one", first | {"data": {"a": "3"}})
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert "the object has been modified" in answer.body["message"]
    version = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}}
    assert api.patch(f"{maps}/one", version | {"data": {"a": "3"}}).code == 409
    assert api.get(f"{maps}/one").body["data"] == {"a": "2"}


def test_an_update_without_a_version(api: Api, maps: str, widgets: str) -> None:
    """ConfigMaps may be replaced whatever they are; custom resources need a version for that."""
    api.made(maps, config_map())
    assert api.put(f"{maps}/one", config_map(data={"a": "9"})).code == 200
    api.made(widgets, widget())
    answer = api.put(f"{widgets}/one", widget(size=4))
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert answer.causes[0]["field"] == "metadata.resourceVersion"


def test_another_uid_is_another_object(api: Api, maps: str) -> None:
    """Neither an update nor a deletion with another object's uid is done."""
    made = api.made(maps, config_map())
    other = "00000000-0000-0000-0000-000000000000"
    metadata = {"name": "one", "uid": other}
    answer = api.put(f"{maps}/one", made | {"metadata": metadata})
    assert (answer.code, answer.reason) == (409, "Conflict")
    answer = api.delete(f"{maps}/one", {"preconditions": {"uid": other}})
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert api.get(f"{maps}/one").code == 200


def test_a_name_that_is_not_the_path(api: Api, maps: str) -> None:
    """An object cannot be put under another name."""
    made = api.made(maps, config_map())
    metadata = made["metadata"] | {"name": "two"}
    answer = api.put(f"{maps}/one", made | {"metadata": metadata})
    assert (answer.code, answer.reason) == (400, "BadRequest")


def test_what_is_not_there(api: Api, maps: str) -> None:
    """Objects, namespaces and kinds that do not exist are 404; the first two say what was looked for."""
    answer = api.get(f"{maps}/none")
    assert (answer.code, answer.reason) == (404, "NotFound")
    assert answer.body["message"] == 'configmaps "none" not found'
    answer = api.post("/api/v1/namespaces/no-such-one/configmaps", config_map())
    assert (answer.code, answer.reason) == (404, "NotFound")
    assert api.get("/apis/none.example.dev/v1/nones").code == 404


def test_a_post_to_an_object_is_not_allowed(api: Api, maps: str) -> None:
    """Only collections take new objects."""
    api.made(maps, config_map())
    assert api.post(f"{maps}/one", config_map()).code == 405


def test_deleting_answers_with_what_is_gone(api: Api, maps: str) -> None:
    """A deletion is a Success that names the object; afterwards it is not found."""
    made = api.made(maps, config_map())
    answer = api.delete(f"{maps}/one")
    assert (answer.code, answer.body["status"]) == (200, "Success")
    assert answer.body["details"]["uid"] == made["metadata"]["uid"]
    assert api.get(f"{maps}/one").code == 404
    assert api.delete(f"{maps}/one").code == 404


def test_finalizers_hold_an_object(api: Api, maps: str) -> None:
    """A deleted object with finalizers stays, marked, takes no new ones, and goes with the last."""
    api.made(maps, config_map(finalizers=["example.dev/one"]))
    answer = api.delete(f"{maps}/one")
    assert answer.code == 200
    assert answer.body["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["example.dev/one", "example.dev/two"]}}
    refused = api.patch(f"{maps}/one", more)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert api.patch(f"{maps}/one", {"data": {"b": "2"}}).code == 200
    assert api.patch(f"{maps}/one", {"metadata": {"finalizers": None}}).code == 200
    assert api.get(f"{maps}/one").code == 404


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(b"{", id="half a document"),
        pytest.param({"gracePeriodSeconds": "soon"}, id="a text for a number"),
        pytest.param({"preconditions": ["a"]}, id="a list for an object"),
        pytest.param({"propagationPolicy": 3}, id="a number for a text"),
    ],
)
def test_options_of_deletions_that_cannot_be(api: Api, maps: str, options: object) -> None:
    """How to delete is read as strictly as any object, and nothing is deleted then."""
    api.made(maps, config_map())
    answer = api.delete(f"{maps}/one", options)
    assert (answer.code, answer.reason) == (400, "BadRequest"), answer.data
    assert api.get(f"{maps}/one").code == 200


def test_a_deletion_is_told_in_one_place(api: Api, maps: str) -> None:
    """Where there is a body the query is not read, and the old word for orphans excludes the new one."""
    api.made(maps, config_map())
    both = {"orphanDependents": True, "propagationPolicy": "Background"}
    answer = api.delete(f"{maps}/one", both)
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert api.delete(f"{maps}/one", {"kind": "DeleteOptions", "apiVersion": "v1"}, dryRun="All").code == 200
    assert api.get(f"{maps}/one").code == 404


def test_a_collection_is_deleted_by_selector(api: Api, maps: str) -> None:
    """Only what the selector names goes."""
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "red")):
        api.made(maps, config_map(name, labels={"colour": colour}))
    assert api.delete(maps, None, labelSelector="colour=red").code == 200
    left = [one["metadata"]["name"] for one in api.get(maps, labelSelector="colour").body["items"]]
    assert left == ["b"]


def test_a_dry_run_changes_nothing(api: Api, maps: str) -> None:
    """Every kind of write can be tried: it is checked, answered and not done."""
    assert api.post(maps, config_map(), None, dryRun="All").code == 201
    assert api.get(f"{maps}/one").code == 404
    assert api.post(maps, config_map("Bad_Name"), None, dryRun="All").code == 422
    made = api.made(maps, config_map())
    tried = api.patch(f"{maps}/one", {"data": {"a": "2"}}, MERGE_PATCH, dryRun="All")
    assert tried.body["data"] == {"a": "2"}
    assert api.delete(f"{maps}/one", None, dryRun="All").code == 200
    assert api.get(f"{maps}/one").body == made
    assert api.delete(f"{maps}/one", None, dryRun="Some").code == 422


def test_an_immutable_map_stays(api: Api, maps: str) -> None:
    """Data of an immutable ConfigMap is not changed, and its mark not taken off."""
    api.made(maps, config_map() | {"immutable": True})
    for change in ({"data": {"a": "2"}}, {"immutable": False}):
        answer = api.patch(f"{maps}/one", change)
        assert (answer.code, answer.reason) == (422, "Invalid")


def test_plain_secrets_are_encoded(api: Api, namespace: str) -> None:
    """What comes as stringData is stored as data, and not shown as text."""
    path = f"/api/v1/namespaces/{namespace}/secrets"
    made = api.made(path, {"metadata": {"name": "one"}, "stringData": {"a": "b"}})
    assert made["data"] == {"a": "Yg=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made


def test_defaults_of_a_deployment(api: Api, deployments: str) -> None:
    """What a Deployment does not say has the documented defaults."""
    spec = api.made(deployments, deployment(replicas=0, paused=True))["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["dnsPolicy"], pod["terminationGracePeriodSeconds"]) == (
        "Always", "ClusterFirst", 30,
    )  # fmt: skip
    assert pod["containers"][0]["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"selector": None}, "spec.selector", id="no selector"),
        pytest.param({"replicas": -1}, "spec.replicas", id="negative replicas"),
        pytest.param(
            {"selector": {"matchLabels": {"app": "other"}}},
            "spec.template.metadata.labels",
            id="other labels",
        ),
        pytest.param({"strategy": {"type": "Sometimes"}}, "spec.strategy", id="unknown strategy"),
        pytest.param(
            {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
            "spec.template.spec.containers",
            id="no containers",
        ),
    ],
)
def test_deployments_that_cannot_be(
    api: Api, deployments: str, change: dict[str, object], field: str
) -> None:
    """Each fault is told with its field."""
    wrong = deployment()
    wrong["spec"] |= change
    answer = api.post(deployments, wrong)
    assert (answer.code, answer.reason) == (422, "Invalid"), answer.data
    assert any(cause["field"].startswith(field) for cause in answer.causes)


def test_a_selector_stays(api: Api, deployments: str) -> None:
    """The selector of a Deployment cannot be changed."""
    api.made(deployments, deployment(replicas=0, paused=True))
    labels = {"app": "web", "more": "yes"}
    change = {"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}}
    answer = api.patch(f"{deployments}/web", change)
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert answer.causes[0]["field"] == "spec.selector"


def test_leases_are_held_by_version(api: Api, namespace: str) -> None:
    """Of two that renew a Lease from the same version one wins."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-02T03:04:05.000006Z"}
    lease = api.made(path, {"metadata": {"name": "leader"}, "spec": spec})
    assert lease["spec"]["renewTime"] == "2026-01-02T03:04:05.000006Z"
    taken = lease | {"spec": spec | {"holderIdentity": "b"}}
    assert api.put(f"{path}/leader", taken).code == 200
    answer = api.put(f"{path}/leader", lease | {"spec": spec | {"holderIdentity": "c"}})
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert api.get(f"{path}/leader").body["spec"]["holderIdentity"] == "b"


def test_events_are_found_by_what_they_are_about(api: Api, namespace: str) -> None:
    """Events are selected by the fields of the object that they tell of."""
    path = f"/api/v1/namespaces/{namespace}/events"
    for name in ("a", "b"):
        involved = {"kind": "Pod", "namespace": namespace, "name": name}
        api.made(path, {"metadata": {"name": f"{name}.1"}, "involvedObject": involved, "reason": "Tried"})
    found = api.get(path, fieldSelector="involvedObject.name=a,reason=Tried").body["items"]
    assert [one["metadata"]["name"] for one in found] == ["a.1"]
