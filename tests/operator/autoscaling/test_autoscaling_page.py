"""docs/autoscaling.md: its spec is taken, and its commands run on a log."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ostiary_operator.autoscaling.log import line
from ostiary_operator.autoscaling.reading import read_spec
from ostiary_operator.autoscaling.spec import AutoscalerSpec
from ostiary_operator.cli import app
from tests.operator.autoscaling.fleets import Version

PAGE = (Path(__file__).resolve().parents[3] / "docs/autoscaling.md").read_text("utf-8")
SPEC = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[0]


def test_the_spec_is_taken() -> None:
    """With three metrics and the mode that it shows."""
    spec = read_spec(SPEC, "docs/autoscaling.md")
    assert [metric.name for metric in spec.metrics] == ["demand", "DCGM_FI_DEV_GPU_UTIL", "status.queued"]
    assert spec.mode == "Enforce"


def test_every_field_is_told() -> None:
    """None that the spec has is missing from the page."""
    names = [field.alias or name for name, field in AutoscalerSpec.model_fields.items()]
    assert [name for name in names if name not in PAGE] == []


@pytest.mark.parametrize("command", COMMANDS.splitlines())
def test_the_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a log that was made by the page's own spec."""
    monkeypatch.chdir(tmp_path)
    spec = read_spec(SPEC, "docs/autoscaling.md")
    version, lines = Version(spec, 2, 60.0), []
    for _ in range(12):
        version.pass_time()
        at, inputs = version.now, version.inputs()
        lines.append(line("mini-2026-11", at, spec, inputs, version.decide()))
    Path("decisions.jsonl").write_text("\n".join([*lines, ""]), "utf-8")
    Path("candidate.yaml").write_text(SPEC.replace("target: 0.8, sigmas", "target: 0.5, sigmas"), "utf-8")
    words = shlex.split(command)
    assert words[:2] == ["ostiary", "operator"]
    result = CliRunner().invoke(app, words[2:])
    assert result.exit_code in (0, 3), result.output
    assert "demand" in result.output
