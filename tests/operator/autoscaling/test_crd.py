"""The CustomResourceDefinition: what is committed is what the types say, and structural."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ostiary_operator.autoscaling import crd

COMMITTED = Path(__file__).resolve().parents[3] / "manifests/crds/gpuautoscalers.yaml"
# What the API server takes in a structural schema, of the keywords that occur here.
KNOWN = {
    "type", "properties", "items", "required", "default", "enum", "nullable", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minLength", "format",
    "x-kubernetes-validations", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
}  # fmt: skip


def schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and all within."""
    yield schema
    for one in schema.get("properties", {}).values():
        yield from schemas(one)
    if "items" in schema:
        yield from schemas(schema["items"])


def root() -> dict[str, Any]:
    found: dict[str, Any] = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def test_the_committed_definition_is_current() -> None:
    """Generated, and not edited by hand."""
    assert COMMITTED.read_text("utf-8") == crd.text()
    assert yaml.safe_load(crd.text()) == crd.definition()


def test_the_schema_is_structural() -> None:
    """Every part has a type, no alternatives and references are left, and no keyword is the JSON schema's
    own.
    """
    for schema in schemas(root()):
        assert "type" in schema
        assert set(schema) <= KNOWN


def test_exclusive_bounds_are_flags() -> None:
    """OpenAPI 3.0 has the bound in `minimum`, and whether it is excluded in a flag."""
    flags = [schema for schema in schemas(root()) if "exclusiveMinimum" in schema]
    assert flags
    assert all(schema["exclusiveMinimum"] is True and "minimum" in schema for schema in flags)


def test_kinds_of_metrics_do_not_default_into_one_another() -> None:
    """The API server writes defaults into every object: a Demand metric must not get a GPU metric's
    fields.
    """
    metric = root()["properties"]["spec"]["properties"]["metrics"]["items"]
    assert metric["properties"]["type"]["enum"] == ["Demand", "GPU", "Status"]
    assert not any("default" in one for one in metric["properties"].values())
