"""The pure parts of the sandbox: patches, sets of fields, schemas, selectors, the store's history."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_operator.sandbox.api import cel, patches, structural
from ostiary_operator.sandbox.api.fields import flattened, of_fields_v1, to_fields_v1
from ostiary_operator.sandbox.api.models import schema
from ostiary_operator.sandbox.api.resources import BUILT_IN, priority
from ostiary_operator.sandbox.api.selectors import parse_labels
from ostiary_operator.sandbox.api.store import GoneError, RacedError, Store
from ostiary_operator.sandbox.api.tables import duration, json_path
from ostiary_operator.sandbox.api.values import quantity
from ostiary_operator.sandbox.faults import Faults

Json = dict[str, Any]

_SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3)
    ),
)
_OBJECTS = st.dictionaries(st.text("abc", max_size=2), _VALUES, max_size=4)


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        pytest.param({"a": "b"}, {"a": "c"}, {"a": "c"}, id="replace"),
        pytest.param({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}, id="add"),
        pytest.param({"a": "b"}, {"a": None}, {}, id="remove"),
        pytest.param({"a": ["b"]}, {"a": "c"}, {"a": "c"}, id="list to text"),
        pytest.param({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}, id="inside"),
        pytest.param({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}, id="lists are replaced"),
        pytest.param(["a", "b"], ["c", "d"], ["c", "d"], id="no object"),
        pytest.param({"e": None}, {"a": 1}, {"e": None, "a": 1}, id="a null that was there"),
        pytest.param({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}, id="nulls of new objects"),
    ],
)
def test_merge_patches_of_the_rfc(document: Any, patch: Any, expected: Any) -> None:
    """RFC 7396's own examples."""
    assert patches.merge_patch(document, patch) == expected


@given(_OBJECTS, _OBJECTS)
def test_a_merge_patch_twice_is_once(document: Json, patch: Json) -> None:
    """A merge patch that was done changes nothing more."""
    once = patches.merge_patch(document, patch)
    assert patches.merge_patch(once, patch) == once


@given(_OBJECTS, st.text("abc/~", min_size=1, max_size=3), _VALUES)
def test_a_json_patch_leaves_its_document(document: Json, key: str, value: Any) -> None:
    """What is added can be tested and removed again, and the document that came in is never touched."""
    before = {name: inner for name, inner in document.items() if name != key}
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    operations = [{"op": op, "path": pointer, "value": value} for op in ("add", "test", "remove")]
    kept = repr(before)
    assert patches.json_patch(before, operations) == before
    assert repr(before) == kept


def _pod(*names: str) -> Json:
    containers = [{"name": name, "image": f"{name}:1", "ports": [{"containerPort": 80}]} for name in names]
    return {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}


def test_fields_of_a_pod() -> None:
    """Elements of keyed lists are named by their keys, a port's protocol by its default too."""
    paths = flattened(schema("V1Pod"), _pod("x"))
    container = ("f:spec", "f:containers", 'k:{"name":"x"}')
    assert {container, (*container, "f:image"), ("f:metadata", "f:labels", "f:a")} <= paths.keys()
    assert (*container, "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}') in paths


@given(st.sets(st.sampled_from("abcdef"), min_size=1))
def test_fields_survive_being_written(names: set[str]) -> None:
    """FieldsV1 says exactly the paths that it was made from."""
    paths = set(flattened(schema("V1Pod"), _pod(*sorted(names))))
    assert of_fields_v1(to_fields_v1(paths)) == paths


@pytest.mark.parametrize("resource", [one.kind for one in BUILT_IN])
def test_every_kind_has_a_schema(resource: str) -> None:
    """Kubernetes' own kinds are known with their metadata."""
    found = next(one for one in BUILT_IN if one.kind == resource).schema
    assert "metadata" in found["properties"] or resource.endswith("Review")


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        pytest.param("self.a <= self.b", {"a": 1, "b": 2}, True, id="compare"),
        pytest.param("self.items.all(i, i.w > 0) && self.items.map(i, i.w).sum() == 3", None, True, id="sum"),
        pytest.param("has(self.c) ? self.c == 'x' : true", {"a": 1}, True, id="has"),
        pytest.param("self.?c.orValue(4) == 4", {"a": 1}, True, id="optional"),
        pytest.param(
            "self.t < timestamp('2026-01-02T00:00:00Z')", {"t": "2026-01-01T00:00:00Z"}, True, id="time"
        ),
        pytest.param(
            "self.__namespace__ == 'x' && self.a__dash__b == 1",
            {"namespace": "x", "a-b": 1},
            True,
            id="names",
        ),
        pytest.param("self.d > duration('1m')", {"d": "90s"}, True, id="duration"),
        pytest.param("self.f > 0.5", {"f": 1}, True, id="whole number as a double"),
    ],
)
def test_rules(rule: str, value: Json | None, holds: bool) -> None:
    """Rules see values with the types of their schema."""
    properties: Json = {
        "a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "string"}, "f": {"type": "number"},
        "t": {"type": "string", "format": "date-time"}, "namespace": {"type": "string"},
        "a-b": {"type": "integer"},
        "d": {"type": "string", "format": "duration"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"w": {"type": "integer"}}}},
    }  # fmt: skip
    shape = {"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": rule}]}
    given_value = {"items": [{"w": 1}, {"w": 2}]} if value is None else value
    assert (structural.validate(shape, given_value) == []) is holds


def test_a_rule_with_unknown_names_does_not_compile() -> None:
    """A rule is refused when the definition is made."""
    with pytest.raises(cel.RuleError, match="undeclared reference"):
        cel.compiled("selfish.a > 1")


def test_versions_in_their_order() -> None:
    """Released before beta before alpha, the higher first."""
    mixed = ["v1alpha1", "foo", "v1", "v2beta1", "v11", "v1beta2"]
    assert sorted(mixed, key=priority) == ["v11", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo"]


@pytest.mark.parametrize(
    ("text", "number"), [("500m", 0.5), ("2Gi", 2.0 * 2**30), ("3", 3.0), ("1e3", 1000.0), ("1.5k", 1500.0)]
)
def test_quantities(text: str, number: float) -> None:
    """Every suffix counts."""
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5s"), (119, "119s"), (150, "2m30s"), (3600, "60m"), (4 * 3600, "4h"), (3 * 86400, "3d")],
)
def test_ages(seconds: int, text: str) -> None:
    """Ages as kubectl prints them."""
    assert duration(seconds) == text


def test_paths_into_objects() -> None:
    """Printer columns find fields, elements and those of a condition."""
    obj = {
        "status": {"conditions": [{"type": "A", "status": "1"}, {"type": "B", "status": "2"}], "n": [7, 8]}
    }
    assert json_path(obj, '.status.conditions[?(@.type=="B")].status') == ["2"]
    assert json_path(obj, ".status.n[1]") == [8]
    assert json_path(obj, ".status.n[*]") == [7, 8]
    assert json_path(obj, ".status.none") == []


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy")),
    st.sampled_from("abc"),
    st.sampled_from("xy"),
)
def test_a_selector_and_its_opposite(labels: dict[str, str], key: str, value: str) -> None:
    """Whatever is not selected is selected by the opposite."""
    assert parse_labels(f"{key}={value}").matches(labels) != parse_labels(f"{key}!={value}").matches(labels)
    assert parse_labels(key).matches(labels) != parse_labels(f"!{key}").matches(labels)


_STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=25)


@given(_STEPS, st.data())
def test_the_store_knows_what_was(steps: list[tuple[str, bool]], data: st.DataObject) -> None:
    """At every revision that is kept the list is what it was then."""
    store = Store()
    store.items("things.")
    history = [(store.revision, dict(store.items("things.", "")))]
    for name, remove in steps:
        here = store.get("things.", ("", name))
        if here is None:
            store.put("things.", ("", name), {"metadata": {"name": name}}, None)
        elif remove:
            store.remove("things.", ("", name), here)
        else:
            store.put("things.", ("", name), {"metadata": {"name": name}}, here)
        history.append((store.revision, dict(store.items("things.", ""))))
    revision, expected = data.draw(st.sampled_from(history))
    assert dict(store.listed_at("things.", revision, "")) == expected
    replayed = {key: stored.revision for key, stored in expected.items()}
    for event in store.since("things.", revision):
        if event.type == "DELETED":
            replayed.pop(event.key)
        else:
            replayed[event.key] = event.revision
    assert replayed == {key: stored.revision for key, stored in store.items("things.", "")}


def test_a_write_over_something_else_is_none() -> None:
    """Of two that read the same version one writes."""
    store = Store()
    first = store.put("things.", ("", "a"), {"metadata": {}}, None)
    store.put("things.", ("", "a"), {"metadata": {}}, first)
    with pytest.raises(RacedError):
        store.put("things.", ("", "a"), {"metadata": {}}, first)


def test_what_was_compacted_is_gone() -> None:
    """After compaction no earlier revision can be read."""
    store = Store()
    store.put("things.", ("", "a"), {"metadata": {}}, None)
    before = store.revision
    store.put("things.", ("", "b"), {"metadata": {}}, None)
    store.compact()
    with pytest.raises(GoneError):
        store.since("things.", before)
    with pytest.raises(GoneError):
        store.listed_at("things.", before, None)


def test_the_journal_forgets_a_line_that_was_cut_off(tmp_path: Path) -> None:
    """What a crash left half written never happened, and what follows is written after it."""
    path = tmp_path / "journal.jsonl"
    store = Store(path)
    for name in "ab":
        store.put("things.", ("", name), {"metadata": {"name": name}}, None)
    store.close()
    path.write_bytes(path.read_bytes()[:-5])
    again = Store(path)
    assert [key for key, _ in again.items("things.")] == [("", "a")]
    again.put("things.", ("", "c"), {"metadata": {"name": "c"}}, None)
    again.close()
    last = Store(path)
    last.close()
    assert [key for key, _ in last.items("things.")] == [("", "a"), ("", "c")]


def test_faults_are_repeatable() -> None:
    """The same seed strikes the same requests."""

    def strikes(seed: int) -> list[bool]:
        faults = Faults(seed=seed)
        faults.set(conflict=0.5)
        return [faults.happens("conflict") for _ in range(50)]

    assert strikes(1) == strikes(1) != strikes(2)
