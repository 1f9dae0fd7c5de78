"""What clients learn about the server: discovery, OpenAPI, tables."""

import json
from typing import Any

from cluster.api_client import Api
from cluster.shapes import config_map, widget

Json = dict[str, Any]
_TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
_METADATA = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"}
_AGGREGATED = {
    "Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
}


def test_groups_and_versions(api: Api, widgets_defined: str) -> None:
    """The core API, the groups, and a definition's group with its versions, the preferred first."""
    assert api.get("/api").body["versions"] == ["v1"]
    groups = {one["name"]: one for one in api.get("/apis").body["groups"]}
    assert {"apps", "policy", "coordination.k8s.io", "discovery.k8s.io"} <= groups.keys()
    ours = groups[widgets_defined]
    assert {one["version"] for one in ours["versions"]} == {"v1", "v1beta1"}
    assert ours["preferredVersion"]["groupVersion"] == f"{widgets_defined}/v1"
    assert api.get(f"/apis/{widgets_defined}").body["kind"] == "APIGroup"


def test_resources_of_a_version(api: Api, widgets_defined: str) -> None:
    """Each resource with its names, verbs and subresources."""
    found = api.get(f"/apis/{widgets_defined}/v1").body
    resources = {one["name"]: one for one in found["resources"]}
    assert {"widgets", "widgets/status", "widgets/scale"} <= resources.keys()
    ours = resources["widgets"]
    assert (ours["kind"], ours["singularName"], ours["shortNames"]) == ("Widget", "widget", ["wdg"])
    assert {"create", "delete", "get", "list", "patch", "update", "watch"} <= set(ours["verbs"])
    assert resources["widgets/scale"]["group"] == "autoscaling"
    core = {one["name"]: one for one in api.get("/api/v1").body["resources"]}
    assert core["namespaces"]["namespaced"] is False
    assert core["pods/eviction"]["kind"] == "Eviction"


def test_discovery_in_one_answer(api: Api, widgets_defined: str) -> None:
    """Clients that know it get all groups with their resources at once."""
    answer = api.get("/apis", _AGGREGATED)
    assert "APIGroupDiscoveryList" in answer.headers["content-type"]

    def has_ours(found: Any) -> bool:
        return any(
            one["metadata"]["name"] == widgets_defined and one["versions"] for one in found.body["items"]
        )

    found = api.until("/apis", has_ours, headers=_AGGREGATED)
    items = {one["metadata"]["name"]: one for one in found["items"]}
    resources = {one["resource"]: one for one in items[widgets_defined]["versions"][0]["resources"]}
    assert resources["widgets"]["responseKind"]["kind"] == "Widget"
    assert {one["subresource"] for one in resources["widgets"]["subresources"]} == {"status", "scale"}


def test_version_and_health(api: Api) -> None:
    """The version's parts are there, and the server says that it is well."""
    assert api.get("/version").body["major"] == "1"
    for path in ("/healthz", "/livez", "/readyz"):
        assert api.get(path).data == b"ok"


def test_openapi_v3(api: Api, widgets_defined: str) -> None:
    """The index leads to a document with the schema of each kind, and says that patches can be validated."""
    path = f"apis/{widgets_defined}/v1"

    def published(answer: Any) -> bool:
        return path in answer.body["paths"]

    index = api.until("/openapi/v3", published)
    found = api.get(index["paths"][path]["serverRelativeURL"])
    while found.code == 301:
        found = api.get(found.headers["location"])
    document = found.body
    kinds = {
        gvk["kind"]: schema
        for schema in document["components"]["schemas"].values()
        for gvk in schema.get("x-kubernetes-group-version-kind", [])
    }
    assert kinds["Widget"]["properties"]["spec"]["properties"]["size"]["maximum"] == 10
    one = document["paths"][f"/{path}/namespaces/{{namespace}}/widgets/{{name}}"]
    assert "application/apply-patch+yaml" in one["patch"]["requestBody"]["content"]
    assert "fieldValidation" in json.dumps(one["patch"]["parameters"])


def test_openapi_v3_of_another_time(api: Api, widgets_defined: str) -> None:
    """A document is asked for by a hash of what it said; where it says something else now, one is sent on."""
    path = f"/openapi/v3/apis/{widgets_defined}/v1"
    api.until(path, lambda answer: answer.code == 200)
    moved = api.get(f"{path}?hash=AB12")
    assert moved.code == 301
    assert moved.headers["location"].startswith(f"{path}?hash=")


def test_openapi_v2(api: Api) -> None:
    """The older document has the kinds' definitions with the keys of their lists."""
    document = api.get("/openapi/v2").body
    assert document["swagger"] == "2.0"
    definitions = document["definitions"]
    pod_specs = [
        schema["properties"]["containers"]
        for schema in definitions.values()
        if {"containers", "nodeName", "tolerations"} <= schema.get("properties", {}).keys()
    ]
    assert pod_specs[0]["x-kubernetes-patch-merge-key"] == "name"


def test_tables_have_the_columns_of_the_definition(api: Api, widgets: str) -> None:
    """kubectl gets columns with values, and the metadata of each object."""
    api.made(widgets, widget())
    ready = [{"type": "Ready", "status": "True"}]
    api.patch(f"{widgets}/one/status", {"status": {"conditions": ready}})
    table = api.get(widgets, _TABLE).body
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    columns = [(one["name"], one["priority"]) for one in table["columnDefinitions"]]
    assert columns == [("Name", 0), ("Size", 0), ("Ready", 0), ("Colour", 1), ("Age", 0)]
    (row,) = table["rows"]
    assert row["cells"][:4] == ["one", 3, "True", "red"]
    assert row["object"]["kind"] == "PartialObjectMetadata"


def test_tables_of_maps(api: Api, maps: str) -> None:
    """A ConfigMap's columns are its name, how much data it has, and its age."""
    api.made(maps, config_map(data={"a": "1", "b": "2"}))
    table = api.get(f"{maps}/one", _TABLE).body
    assert [one["name"] for one in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert table["rows"][0]["cells"][:2] in (["one", 2], ["one", "2"])


def test_metadata_alone(api: Api, maps: str) -> None:
    """Whoever wants metadata only gets no data."""
    api.made(maps, config_map())
    found = api.get(maps, _METADATA).body
    assert found["kind"] == "PartialObjectMetadataList"
    assert all("data" not in one for one in found["items"])
    assert "one" in {one["metadata"]["name"] for one in found["items"]}
