"""Resources in files, before a cluster sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ostiary_operator.kubectl.lint import lint
from ostiary_operator.kubectl.main import app

NOW = 1_790_000_000.0
HEAD = "apiVersion: ostiary.dev/v1alpha1\n"
DEPLOYMENT = (
    HEAD
    + """kind: ModelDeployment
metadata: {name: qwen}
spec:
  model: qwen
  versionRef: {name: qwen-2}
  strategy:
    canary:
      steps:
        - setWeight: 1000
        - analysis: {template: canary}
"""
)
VERSION = (
    HEAD
    + f"""kind: ModelVersion
metadata: {{name: qwen-2}}
spec:
  model: qwen
  version: "2"
  image: pod:2
  checksPerSecond: 9
  artifact: {{uri: s3://b, digest: "sha256:{"0" * 64}"}}
"""
)
TEMPLATE = (
    HEAD
    + """kind: AnalysisTemplate
metadata: {name: canary}
spec:
  minSamples: 10
  metrics: [{name: errors, compare: {figure: errors, margin: 0.01}}]
"""
)
ROUTE = (
    HEAD + "kind: TrafficRoute\nmetadata: {name: qwen}\nspec:\n  versions:\n  - {name: v1, weight: 10000}\n"
)
WHOLE = "---\n".join([DEPLOYMENT, VERSION, TEMPLATE, ROUTE])


def said(text: str, **more: Any) -> list[str]:
    """Remarks on a file, without its name."""
    return [str(one).removeprefix("f.yaml:") for one in lint([("f.yaml", text)], NOW, **more)]


def test_what_is_right_gets_no_remark() -> None:
    """All kinds of the rollout in one file."""
    assert said(WHOLE) == []


WRONG = {
    "no YAML": ("a: [", "1: error: not YAML"),
    "nothing": ("# only a remark\n", "1: error: there is nothing in it"),
    "a list": ("- a\n", "1: error: an object with apiVersion and kind"),
    "another group": ("apiVersion: v1\nkind: Pod\n", "1: error: apiVersion: ostiary.dev/v1alpha1 is"),
    "a kind there is not": (HEAD + "kind: Modeldeployment\n", "2: error: kind: 'Modeldeployment' is none of"),
    "no name": (HEAD + "kind: TrafficRoute\nspec: {}\n", "error: metadata.name: a name is needed"),
    "a field there is not": (
        DEPLOYMENT.replace("setWeight", "setweight"), "steps[0].setweight: there is no such field",
    ),
    "a value of another type": (
        DEPLOYMENT.replace("1000", "much"), "steps[0].setWeight: Invalid value",
    ),
    "a rule": (
        DEPLOYMENT.replace("setWeight: 1000", "{setWeight: 1, pause: true}"),
        "10: error: spec.strategy.canary.steps[0]: Invalid value: \"object\": give exactly one of setWeight",
    ),
    "steps that descend": (
        DEPLOYMENT + "        - setWeight: 500\n", "8: error: spec.strategy.canary: steps: each setWeight",
    ),
    "a route that does not sum": (ROUTE.replace("10000", "1"), "4: error: spec: Invalid value"),
    "an order that is over": (
        HEAD + "kind: ModelOverride\nmetadata: {name: o}\nspec: {target: qwen, order: Rollback, reason: r, "
        "actor: a, expiresAt: 2020-01-01T00:00:00Z}\n", "4: error: spec.expiresAt: it lies in the past",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_by_line_and_field(text: str, words: str) -> None:
    """The line is the field's own, or that of what it would stand in."""
    assert words in "\n".join(said(text))


WARNED = {
    "nothing judges": (WHOLE.replace("        - analysis: {template: canary}\n", ""), "nothing judges"),
    "at once": (
        WHOLE.replace("        - setWeight: 1000\n        - analysis: {template: canary}\n", "").replace(
            "      steps:", "      steps: []"
        ),
        "all traffic at once",
    ),
    "nothing warm": (WHOLE.replace("  strategy:", "  warm: {versions: 0}\n  strategy:"), "none is kept warm"),
    "a version elsewhere": (
        WHOLE.replace("{name: qwen-2}\n  strategy", "{name: q}\n  strategy"),
        "q is not in",
    ),
}


@pytest.mark.parametrize(("text", "words"), WARNED.values(), ids=WARNED)
def test_what_is_rarely_meant_is_a_warning(text: str, words: str) -> None:
    """It is allowed, after all."""
    (remark,) = said(text)
    assert "warning" in remark
    assert words in remark


def test_what_a_cluster_has_is_there() -> None:
    """And what it lacks is an error."""
    there = {"ModelVersion": frozenset({"qwen-2"}), "AnalysisTemplate": frozenset[str]()}
    (remark,) = said(DEPLOYMENT, there=there)
    assert (
        "error: spec.strategy.canary.steps[1].analysis.template: AnalysisTemplate canary is neither" in remark
    )


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [(WHOLE, [], 0), (DEPLOYMENT, [], 0), (DEPLOYMENT, ["--strict"], 3), ("a: [", [], 1)],
    ids=["good", "warnings", "warnings that count", "bad"],
)  # fmt: skip
def test_exit_codes_are_for_scripts(tmp_path: Path, text: str, words: list[str], code: int) -> None:
    """No cluster is needed."""
    path = tmp_path / "f.yaml"
    path.write_text(text, encoding="utf-8")
    assert CliRunner().invoke(app, ["lint", str(path), *words]).exit_code == code


def test_a_missing_file_is_a_wrong_command_line(tmp_path: Path) -> None:
    """By its name."""
    done = CliRunner().invoke(app, ["lint", str(tmp_path / "none.yaml")])
    assert done.exit_code == 2
    assert "none.yaml" in done.output


def test_files_stand_for_themselves() -> None:
    """One file's version counts for another's deployment."""
    files = [("a.yaml", DEPLOYMENT), ("b.yaml", "---\n".join([VERSION, TEMPLATE]))]
    assert lint(files, NOW) == []
    assert len(list(yaml.safe_load_all(WHOLE))) == 4
