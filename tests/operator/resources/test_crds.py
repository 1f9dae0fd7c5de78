"""The CustomResourceDefinitions that are committed, and the classes that they are made from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ostiary_operator.resources.conditions import Condition, updated
from ostiary_operator.resources.crds import KINDS, Kind, definition
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.resources.model_override import ModelOverrideSpec

FOLDER = Path(__file__).parents[3] / "manifests/crds"
of_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and all inside it."""
    yield schema
    for inner in [
        *schema.get("properties", {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]:
        if isinstance(inner, dict):
            yield from schemas(inner)


def test_files_are_what_is_generated(tmp_path: Path) -> None:
    """`make crds` has been run, and a kind that is gone takes its file with it."""
    command = [sys.executable, str(FOLDER.parents[1] / "operator/generate_crds.py"), str(tmp_path)]
    subprocess.run(command, check=True)
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml")}
    assert written == {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}


@of_kinds
def test_schemas_are_structural(kind: Kind) -> None:
    """One type a place, nothing referred to, no fields forbidden by schema: what Kubernetes accepts."""
    (version,) = definition(kind)["spec"]["versions"]
    for schema in schemas(version["schema"]["openAPIV3Schema"]):
        assert isinstance(schema.get("type"), str) or schema.get("x-kubernetes-int-or-string"), schema
        assert not {"$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "title"} & set(schema)
        assert not ("properties" in schema and "additionalProperties" in schema)
        assert isinstance(schema.get("exclusiveMinimum", True), bool)


@of_kinds
def test_columns_show_what_is_there(kind: Kind) -> None:
    """Each plain path of a printer column is a field of the schema."""
    (version,) = definition(kind)["spec"]["versions"]
    for column in version["additionalPrinterColumns"]:
        parts = column["jsonPath"].lstrip(".").split(".")
        if "[" in column["jsonPath"] or parts[0] == "metadata":
            continue
        schema = version["schema"]["openAPIV3Schema"]
        for part in parts:
            schema = schema["properties"][part]


BAD_STEPS = {
    "both": [{"setWeight": 10, "pause": True}],
    "neither": [{}],
    "descending": [{"setWeight": 5000}, {"setWeight": 1000}],
    "twice the same": [{"setWeight": 1000}, {"setWeight": 1000}],
    "above all": [{"setWeight": 10_001}],
    "judged before it has traffic": [{"analysis": {"template": "t"}}],
    "misspelt": [{"setweight": 10}],
}


@pytest.mark.parametrize("steps", BAD_STEPS.values(), ids=BAD_STEPS)
def test_steps_that_make_no_sense_are_refused(steps: list[dict[str, Any]]) -> None:
    """With the place in the message."""
    with pytest.raises(ValidationError, match="steps"):
        ModelDeploymentSpec.model_validate(
            {"model": "m", "versionRef": {"name": "v"}, "strategy": {"canary": {"steps": steps}}}
        )


def test_times_are_written_as_kubernetes_writes_them() -> None:
    """And read back to the microsecond."""
    status = ModelDeploymentStatus(since=1_790_000_000.25)
    text = status.model_dump_json(by_alias=True)
    assert '"since":"2026-09-21T14:13:20.250000Z"' in text
    assert ModelDeploymentStatus.model_validate_json(text) == status


@pytest.mark.parametrize(
    ("order", "to"), [("Pin", None), ("Freeze", "v1")], ids=["pin to nothing", "freeze to something"]
)
def test_an_order_and_its_version_fit(order: str, to: str | None) -> None:
    """A Pin needs a version, a Freeze has none."""
    said = {"target": "md", "order": order, "toVersion": to, "reason": "r", "actor": "a"}
    with pytest.raises(ValidationError, match="toVersion"):
        ModelOverrideSpec.model_validate({**said, "expiresAt": "2026-11-25T00:00:00Z"})


def test_a_condition_keeps_its_time_while_its_status_does() -> None:
    """Another reason or message is no transition."""
    first = updated((), [Condition(type="Healthy", status="True", reason="Stable")], 10.0)
    same = updated(first, [Condition(type="Healthy", status="True", reason="Other", message="m")], 20.0)
    other = updated(same, [Condition(type="Healthy", status="False", reason="Other")], 30.0)
    assert [one.last_transition_time for one in (*first, *same, *other)] == [10.0, 10.0, 30.0]


def test_kinds_of_metrics_do_not_default_into_one_another() -> None:
    """The API server writes defaults into every object: a Demand metric gets none of a GPU metric's."""
    (kind,) = (one for one in KINDS if one.name == "GPUAutoscaler")
    (version,) = definition(kind)["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    metric = spec["properties"]["metrics"]["items"]
    assert metric["properties"]["type"]["enum"] == ["Demand", "GPU", "Status"]
    assert not any("default" in one for one in metric["properties"].values())
