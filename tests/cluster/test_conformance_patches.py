"""The three kinds of patches that say what to change."""

import pytest

from cluster.api_client import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Api
from cluster.shapes import config_map, deployment, widget


@pytest.mark.parametrize(
    ("operations", "data"),
    [
        pytest.param([{"op": "add", "path": "/data/b", "value": "2"}], {"a": "1", "b": "2"}, id="add"),
        pytest.param([{"op": "replace", "path": "/data/a", "value": "2"}], {"a": "2"}, id="replace"),
        pytest.param([{"op": "copy", "from": "/data/a", "path": "/data/c"}], {"a": "1", "c": "1"}, id="copy"),
        pytest.param([{"op": "move", "from": "/data/a", "path": "/data/c"}], {"c": "1"}, id="move"),
        pytest.param(
            [
                {"op": "test", "path": "/data/a", "value": "1"},
                {"op": "add", "path": "/data/x~1y", "value": "3"},
            ],
            None,
            id="test, then a key that no ConfigMap can have",
        ),
    ],
)
def test_json_patch(api: Api, maps: str, operations: list[object], data: dict[str, str] | None) -> None:
    """Operations are done in order, and checked as any update is."""
    api.made(maps, config_map())
    answer = api.patch(f"{maps}/one", operations, JSON_PATCH)
    if data is None:
        assert (answer.code, answer.reason) == (422, "Invalid")
    else:
        assert answer.body["data"] == data


def test_a_json_patch_is_all_or_nothing(api: Api, maps: str) -> None:
    """Where one operation cannot be done nothing is."""
    api.made(maps, config_map())
    operations = [
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "test", "path": "/data/a", "value": "1"},
    ]
    answer = api.patch(f"{maps}/one", operations, JSON_PATCH)
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert api.get(f"{maps}/one").body["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(JSON_PATCH, {"data": {}}, id="no list"),
        pytest.param(MERGE_PATCH, b"{", id="half a document"),
        pytest.param(STRATEGIC_PATCH, b"[1]", id="no object"),
    ],
)
def test_patches_that_cannot_be_read(api: Api, maps: str, kind: str, body: object) -> None:
    """A patch of another shape than its kind's is a bad request."""
    api.made(maps, config_map())
    answer = api.patch(f"{maps}/one", body, kind)
    assert (answer.code, answer.reason) == (400, "BadRequest")


def test_a_json_patch_has_its_limit(api: Api, maps: str) -> None:
    """More than ten thousand operations are too many."""
    api.made(maps, config_map())
    operations = [{"op": "test", "path": "/data/a", "value": "1"}] * 10_001
    answer = api.patch(f"{maps}/one", operations, JSON_PATCH)
    assert (answer.code, answer.reason) == (413, "RequestEntityTooLarge")


def test_a_merge_patch_replaces_lists_and_removes_by_null(api: Api, widgets: str) -> None:
    """Objects merge, lists are replaced as a whole, null removes."""
    api.made(widgets, widget(tags=["a", "b"], code="abc"))
    spec = api.patch(f"{widgets}/one", {"spec": {"tags": ["c"], "code": None, "size": 4}}).body["spec"]
    assert (spec["tags"], spec["size"]) == (["c"], 4)
    assert "code" not in spec


def test_a_strategic_patch_merges_by_key(api: Api, deployments: str) -> None:
    """Containers merge by name, their variables by name, their ports by number."""
    api.made(deployments, deployment(replicas=0, paused=True))
    path = f"{deployments}/web"

    def containers(*patches: object) -> list[dict[str, object]]:
        body = {"spec": {"template": {"spec": {"containers": list(patches)}}}}
        answer = api.patch(path, body, STRATEGIC_PATCH)
        assert answer.code == 200, answer.data
        found: list[dict[str, object]] = answer.body["spec"]["template"]["spec"]["containers"]
        return found

    containers({"name": "main", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})
    (main,) = containers({"name": "main", "env": [{"name": "A", "value": "9"}]})
    assert main["image"] == "registry.example/web:1"
    assert {one["name"]: one["value"] for one in main["env"]} == {"A": "9", "B": "2"}  # type: ignore[attr-defined]
    found = containers({"name": "side", "image": "registry.example/side:1"})
    assert {one["name"] for one in found} == {"main", "side"}
    (main,) = containers({"name": "side", "$patch": "delete"})
    (main,) = containers({"name": "main", "env": [{"name": "A", "$patch": "delete"}]})
    assert [one["name"] for one in main["env"]] == ["B"]  # type: ignore[attr-defined]
    (only,) = containers({"$patch": "replace"}, {"name": "other", "image": "registry.example/other:1"})
    assert only["name"] == "other"


def test_a_strategic_patch_orders_lists(api: Api, deployments: str) -> None:
    """$setElementOrder says in which order the elements shall be."""
    api.made(deployments, deployment(replicas=0, paused=True))
    env = [{"name": name, "value": name} for name in ("A", "B", "C")]
    order = [{"name": name} for name in ("C", "A", "B")]
    turned = [{"name": name, "value": name} for name in ("C", "A", "B")]
    for change in (
        {"name": "main", "env": env},
        {"name": "main", "$setElementOrder/env": order, "env": turned},
    ):
        body = {"spec": {"template": {"spec": {"containers": [change]}}}}
        answer = api.patch(f"{deployments}/web", body, STRATEGIC_PATCH)
    found = answer.body["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [one["name"] for one in found] == ["C", "A", "B"]


def test_finalizers_are_added_and_taken_by_a_strategic_patch(api: Api, maps: str) -> None:
    """A set of primitives grows by a patch, and shrinks by $deleteFromPrimitiveList."""
    api.made(maps, config_map(finalizers=["example.dev/a"]))
    path = f"{maps}/one"
    both = api.patch(path, {"metadata": {"finalizers": ["example.dev/b"]}}, STRATEGIC_PATCH).body
    assert set(both["metadata"]["finalizers"]) == {"example.dev/a", "example.dev/b"}
    less = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.dev/a"]}}
    assert api.patch(path, less, STRATEGIC_PATCH).body["metadata"]["finalizers"] == ["example.dev/b"]


def test_custom_resources_have_no_strategic_merge(api: Api, widgets: str) -> None:
    """A strategic patch of a custom resource is an unsupported media type."""
    api.made(widgets, widget())
    answer = api.patch(f"{widgets}/one", {"spec": {"size": 4}}, STRATEGIC_PATCH)
    assert (answer.code, answer.reason) == (415, "UnsupportedMediaType")


def test_a_patch_of_nothing(api: Api, maps: str) -> None:
    """What is not there cannot be patched; a patch that changes nothing writes nothing."""
    assert api.patch(f"{maps}/none", {"data": {"a": "1"}}).code == 404
    made = api.made(maps, config_map())
    same = api.patch(f"{maps}/one", {"data": {"a": "1"}}).body
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
