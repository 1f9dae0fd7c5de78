"""Custom resources: schemas, defaults, rules, subresources and versions."""

from typing import Any

import pytest

from cluster.api_client import Api
from cluster.shapes import WIDGETS, widget

Json = dict[str, Any]
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def test_what_is_absent_gets_its_default(api: Api, widgets: str) -> None:
    """Defaults of the schema are set when the object is made."""
    spec = api.made(widgets, widget())["spec"]
    assert (spec["colour"], spec["replicas"]) == ("red", 1)


def test_what_the_schema_does_not_know_is_pruned(api: Api, widgets: str) -> None:
    """Unknown fields go, but for those under a field that keeps them."""
    made = api.made(widgets, widget(nothing=1, free={"any": {"thing": [1, None]}}) | {"extra": True})
    assert "nothing" not in made["spec"]
    assert "extra" not in made
    assert made["spec"]["free"]["any"]["thing"][0] == 1


def test_generation_is_kept_for_custom_resources(api: Api, widgets: str) -> None:
    """It counts changes of the spec and not those of the status."""
    assert api.made(widgets, widget())["metadata"]["generation"] == 1
    assert api.patch(f"{widgets}/one", {"spec": {"size": 4}}).body["metadata"]["generation"] == 2
    assert api.patch(f"{widgets}/one/status", {"status": {"replicas": 1}}).body["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        pytest.param({"size": 0}, "spec.size", "should be greater than or equal to 1", id="minimum"),
        pytest.param({"size": 11, "colour": "blue"}, "spec.size", "less than or equal to 10", id="maximum"),
        pytest.param({"size": "big"}, "spec.size", "must be of type integer", id="type"),
        pytest.param({"colour": "green"}, "spec.colour", 'supported values: "red", "blue"', id="enum"),
        pytest.param({"code": "A1"}, "spec.code", "should match '^[a-z]+$'", id="pattern"),
        pytest.param({"code": "abcdef"}, "spec.code", "Too long", id="length"),
        pytest.param({"tags": ["a", "a"]}, "spec.tags[1]", "Duplicate value", id="set"),
        pytest.param({"ports": [{"number": 1}, {"number": 1}]}, "spec.ports[1]", "Duplicate value", id="map"),
        pytest.param({"when": "noon"}, "spec.when", "date-time", id="format"),
        pytest.param({"size": None}, "spec.size", "", id="null"),
        pytest.param({"size": 7}, "spec", "only blue ones may be big", id="rule"),
    ],
)
def test_objects_against_their_schema(api: Api, widgets: str, spec: Json, field: str, words: str) -> None:
    """Each fault is Invalid and told with its field, in Kubernetes' words."""
    answer = api.post(widgets, widget(**spec))
    assert (answer.code, answer.reason) == (422, "Invalid"), answer.data
    told = {cause["field"]: cause["message"] for cause in answer.causes}
    assert words in told[field]


def test_a_definition_that_is_new(api: Api) -> None:
    """It is answered before anybody looked at its names: there are no conditions, and no accepted names."""
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"}
    spec = WIDGETS["spec"] | {"names": names}
    name = f"gadgets.{spec['group']}"
    status = api.made(_DEFINITIONS, WIDGETS | {"metadata": {"name": name}, "spec": spec})["status"]
    assert status["conditions"] is None
    assert (status["acceptedNames"], status["storedVersions"]) == ({"plural": "", "kind": ""}, ["v1"])
    api.delete(f"{_DEFINITIONS}/{name}")


def test_required_fields(api: Api, widgets: str) -> None:
    """What must be there and is not is a required value."""
    answer = api.post(widgets, widget() | {"spec": {"colour": "red"}})
    assert (answer.code, answer.causes[0]["field"]) == (422, "spec.size")
    assert answer.causes[0]["message"] == "Required value"


def test_a_transition_rule(api: Api, widgets: str) -> None:
    """A rule that compares with the old value holds only for changes."""
    api.made(widgets, widget(fixed="a"))
    assert api.patch(f"{widgets}/one", {"spec": {"size": 4}}).code == 200
    answer = api.patch(f"{widgets}/one", {"spec": {"fixed": "b"}})
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert "fixed cannot be changed" in answer.body["message"]


def test_int_or_string(api: Api, widgets: str) -> None:
    """Such a field takes both, and nothing else."""
    for name, value in (("a", 3), ("b", "25%")):
        assert api.made(widgets, widget(name, limit=value))["spec"]["limit"] == value
    assert api.post(widgets, widget("c", limit=True)).code == 422


def test_status_is_apart(api: Api, widgets: str) -> None:
    """The object's own path leaves the status, the status' path everything else."""
    made = api.made(widgets, widget() | {"status": {"replicas": 5}})
    assert "status" not in made
    changed = made | {"status": {"replicas": 3}, "spec": made["spec"] | {"size": 5}}
    by_status = api.put(f"{widgets}/one/status", changed).body
    assert (by_status["status"], by_status["spec"]["size"]) == ({"replicas": 3}, 3)
    again = by_status | {"status": {"replicas": 9}, "spec": made["spec"] | {"size": 5}}
    by_object = api.put(f"{widgets}/one", again).body
    assert (by_object["status"], by_object["spec"]["size"]) == ({"replicas": 3}, 5)


def test_status_is_checked_too(api: Api, widgets: str) -> None:
    """A status that the schema does not allow is refused."""
    api.made(widgets, widget())
    answer = api.patch(f"{widgets}/one/status", {"status": {"replicas": "many"}})
    assert (answer.code, answer.causes[0]["field"]) == (422, "status.replicas")


def test_scale(api: Api, widgets: str) -> None:
    """The subresource scale reads and writes the replicas where the definition says they are."""
    api.made(widgets, widget())
    path = f"{widgets}/one/scale"
    api.patch(f"{widgets}/one/status", {"status": {"replicas": 1, "selector": "a=b"}})
    scale = api.get(path).body
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 1}, {"replicas": 1, "selector": "a=b"})
    assert api.put(path, scale | {"spec": {"replicas": 4}}).body["spec"] == {"replicas": 4}
    assert api.patch(path, {"spec": {"replicas": 5}}).body["spec"] == {"replicas": 5}
    assert api.get(f"{widgets}/one").body["spec"]["replicas"] == 5
    assert api.put(path, scale | {"spec": {"replicas": 6}}).code == 409
    assert api.patch(path, {"spec": {"replicas": -1}}).code == 422


def test_versions_show_the_same_object(api: Api, widgets: str, namespace: str) -> None:
    """An object is served in every version, with that version's apiVersion."""
    made = api.made(widgets, widget())
    other = f"/apis/conformance.ostiary.dev/v1beta1/namespaces/{namespace}/widgets"
    found = api.get(f"{other}/one").body
    assert found["apiVersion"] == "conformance.ostiary.dev/v1beta1"
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert found["spec"] == made["spec"]


def definition(kind: str, **changes: Any) -> Json:
    """A definition of another kind, with one version without rules."""
    plural = f"{kind.lower()}s"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    spec = {
        "group": "conformance.ostiary.dev",
        "scope": "Cluster",
        "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
        "versions": [version | changes.pop("version", {})],
    }
    name = f"{plural}.conformance.ostiary.dev"
    return WIDGETS | {"metadata": {"name": changes.pop("name", name)}, "spec": spec | changes}


def _with_schema(schema: Json) -> Json:
    return {"schema": {"openAPIV3Schema": schema}}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        pytest.param(definition("Gizmo", name="gizmo.conformance.ostiary.dev"), "metadata.name", id="name"),
        pytest.param(
            definition("Gizmo", version={"storage": False}), "spec.versions", id="no storage version"
        ),
        pytest.param(definition("Gizmo", scope="Galaxy"), "spec.scope", id="scope"),
        pytest.param(
            definition("Gizmo", version=_with_schema({"type": "object", "properties": {"spec": {}}})),
            "openAPIV3Schema.properties[spec].type",
            id="no type",
        ),
        pytest.param(
            definition(
                "Gizmo",
                version=_with_schema(
                    {"type": "object", "x-kubernetes-validations": [{"rule": "self.nope +"}]}
                ),
            ),
            "openAPIV3Schema.x-kubernetes-validations[0].rule",
            id="rule",
        ),
    ],
)
def test_definitions_that_cannot_be(api: Api, wrong: Json, field: str) -> None:
    """A definition is checked before anything is served by it; how its path begins is the server's affair."""
    answer = api.post(_DEFINITIONS, wrong)
    assert (answer.code, answer.reason) == (422, "Invalid"), answer.data
    assert any(cause["field"].endswith(field) for cause in answer.causes), answer.data


def test_a_definition_goes_with_its_objects(api: Api) -> None:
    """When a definition is deleted its objects are, and its path is not found any more."""
    api.made(_DEFINITIONS, definition("Sprocket"))
    path = "/apis/conformance.ostiary.dev/v1/sprockets"
    api.until(path, lambda answer: answer.code == 200)
    obj = {"apiVersion": "conformance.ostiary.dev/v1", "kind": "Sprocket", "metadata": {"name": "one"}}
    api.made(path, obj | {"any": {"thing": 1}})
    name = "sprockets.conformance.ostiary.dev"
    assert api.delete(f"{_DEFINITIONS}/{name}").code == 200
    api.until(f"{_DEFINITIONS}/{name}", lambda answer: answer.code == 404)
    api.until(path, lambda answer: answer.code == 404)
