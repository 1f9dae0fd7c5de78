"""Server-side apply: who owns which field, and what happens when two want the same."""

from typing import Any

from cluster.api_client import APPLY_PATCH, Api
from cluster.shapes import config_map, widget

Json = dict[str, Any]


def owners(obj: Json) -> dict[str, Json]:
    """Fields by manager and operation."""
    return {
        f"{one['manager']} {one['operation']}": one["fieldsV1"] for one in obj["metadata"]["managedFields"]
    }


def test_applying_makes_and_then_changes(api: Api, maps: str) -> None:
    """The first time it is Created, afterwards OK; the same again is no write."""
    path = f"{maps}/one"
    first = api.apply(path, config_map())
    assert first.code == 201
    same = api.apply(path, config_map())
    assert same.code == 200
    assert same.body["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]
    assert api.apply(path, config_map(data={"a": "2"})).body["data"] == {"a": "2"}


def test_fields_have_owners(api: Api, maps: str) -> None:
    """managedFields names what each manager applied, and what others updated."""
    api.apply(f"{maps}/one", config_map(data={"a": "1", "b": "2"}))
    changed = api.patch(f"{maps}/one", {"data": {"c": "3"}}, fieldManager="editor").body
    found = owners(changed)
    assert found["tester Apply"]["f:data"] == {"f:a": {}, "f:b": {}}
    assert found["editor Update"]["f:data"] == {"f:c": {}}


def test_what_is_no_longer_applied_goes(api: Api, maps: str) -> None:
    """A field that its manager leaves out is removed, unless somebody else has it too."""
    path = f"{maps}/one"
    api.apply(path, config_map(data={"a": "1", "b": "2", "c": "3"}))
    assert api.apply(path, config_map(data={"b": "2"}), "other").code == 200
    left = api.apply(path, config_map(data={"c": "3"})).body
    assert left["data"] == {"b": "2", "c": "3"}
    assert owners(left)["other Apply"]["f:data"] == {"f:b": {}}


def test_two_that_want_the_same_conflict(api: Api, maps: str) -> None:
    """Another value for somebody else's field is a Conflict that names both; by force it is taken over."""
    path = f"{maps}/one"
    api.apply(path, config_map(data={"a": "1"}))
    answer = api.apply(path, config_map(data={"a": "2"}), "other")
    assert (answer.code, answer.reason) == (409, "Conflict")
    (cause,) = answer.causes
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".data.a")
    assert '"tester"' in cause["message"]
    assert api.get(path).body["data"] == {"a": "1"}
    taken = api.apply(path, config_map(data={"a": "2"}), "other", force="true").body
    assert taken["data"] == {"a": "2"}
    assert "tester Apply" not in owners(taken) or "f:data" not in owners(taken)["tester Apply"]


def test_the_same_value_is_shared(api: Api, maps: str) -> None:
    """Two may own a field with the same value."""
    path = f"{maps}/one"
    api.apply(path, config_map(data={"a": "1"}))
    both = api.apply(path, config_map(data={"a": "1"}), "other")
    assert both.code == 200
    found = owners(both.body)
    assert found["tester Apply"]["f:data"] == found["other Apply"]["f:data"] == {"f:a": {}}


def test_an_update_takes_fields_over(api: Api, maps: str) -> None:
    """Whoever changes a field by another kind of write owns it, without a conflict."""
    path = f"{maps}/one"
    api.apply(path, config_map(data={"a": "1"}))
    api.patch(path, {"data": {"a": "5"}}, fieldManager="editor")
    answer = api.apply(path, config_map(data={"a": "1"}))
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert '"editor"' in answer.causes[0]["message"]


def test_lists_by_key_are_owned_by_element(api: Api, widgets: str) -> None:
    """Two managers add to one list; each keeps its own elements."""
    path = f"{widgets}/one"
    api.apply(path, widget(ports=[{"number": 1, "label": "a"}]))
    other = {
        "apiVersion": "conformance.ostiary.dev/v1",
        "kind": "Widget",
        "metadata": {"name": "one"},
        "spec": {"ports": [{"number": 2, "label": "b"}]},
    }
    assert {one["number"] for one in api.apply(path, other, "other").body["spec"]["ports"]} == {1, 2}
    left = api.apply(path, widget(ports=[{"number": 3}])).body["spec"]["ports"]
    assert {one["number"] for one in left} == {2, 3}
    clash = api.apply(path, other | {"spec": {"ports": [{"number": 3, "label": "x"}]}}, "other")
    assert clash.code == 200
    again = api.apply(path, widget(ports=[{"number": 3, "label": "y"}]))
    assert (again.code, again.causes[0]["field"]) == (409, ".spec.ports[number=3].label")


def test_members_of_sets_are_owned(api: Api, widgets: str) -> None:
    """A set is the union of what its managers want."""
    path = f"{widgets}/one"
    api.apply(path, widget(tags=["a", "b"]))
    other = widget(tags=["b", "c"])
    assert set(api.apply(path, other, "other").body["spec"]["tags"]) == {"a", "b", "c"}
    assert set(api.apply(path, widget(tags=["a"])).body["spec"]["tags"]) == {"a", "b", "c"}
    assert set(api.apply(path, widget(tags=["b"]), "other").body["spec"]["tags"]) == {"a", "b"}


def test_status_is_applied_through_its_subresource(api: Api, widgets: str) -> None:
    """Status has owners of its own; applying the object leaves it alone."""
    path = f"{widgets}/one"
    api.apply(path, widget())
    body = {"apiVersion": "conformance.ostiary.dev/v1", "kind": "Widget", "metadata": {"name": "one"}}
    ready = body | {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    made = api.apply(f"{path}/status", ready, "controller")
    assert made.code == 200, made.data
    entry = next(one for one in made.body["metadata"]["managedFields"] if one["manager"] == "controller")
    assert (entry["subresource"], entry["operation"]) == ("status", "Apply")
    kept = api.apply(path, widget(size=4) | {"status": {"replicas": 9}}).body
    assert kept["status"] == ready["status"]
    more = body | {"status": {"conditions": [{"type": "Routed", "status": "False"}]}}
    found = api.apply(f"{path}/status", more, "second").body["status"]["conditions"]
    assert {one["type"] for one in found} == {"Ready", "Routed"}


def test_apply_needs_a_manager_and_knows_no_foreign_fields(api: Api, maps: str) -> None:
    """Without a field manager, with managedFields, or under another name nothing is applied."""
    path = f"{maps}/one"
    answer = api.patch(path, config_map(), APPLY_PATCH)
    assert (answer.code, answer.reason) == (422, "Invalid")
    entry = {
        "manager": "x",
        "operation": "Apply",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
    }
    assert api.apply(path, config_map(managedFields=[entry])).code == 400
    assert api.apply(path, config_map("two")).code == 400
    for mode in ("Strict", "Warn", "Ignore"):
        unknown = api.apply(path, config_map() | {"dada": {}}, fieldValidation=mode)
        assert unknown.code in (400, 500)
        assert "dada: field not declared in schema" in unknown.body["message"]
    other_version = api.apply(path, config_map() | {"apiVersion": "v7"})
    assert other_version.code == 400
    assert api.get(path).code == 404


def test_what_cannot_be_merged(api: Api, widgets: str) -> None:
    """Elements of a list by key are objects that have the key, and a list is a list."""
    for ports in (["a"], [""], [{"label": "a"}], {"number": 1}):
        answer = api.apply(f"{widgets}/one", widget(ports=ports))
        assert answer.code in (400, 500)
        assert "failed to create typed patch object" in answer.body["message"]
    assert api.get(f"{widgets}/one").code == 404


def test_force_is_for_apply(api: Api, maps: str) -> None:
    """No other patch can be forced."""
    api.made(maps, config_map())
    answer = api.patch(f"{maps}/one", {"data": {"a": "2"}}, force="true")
    assert (answer.code, answer.reason) == (422, "Invalid")
