"""docs/policy.md: its policy is good, its cases turn out so, and its commands run."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ostiary.v1.config_pb2 import Fallback
from ostiary.v1.observation_pb2 import PolicyState
from ostiary_gateway.cli.policy import app

PAGE = (Path(__file__).resolve().parents[3] / "docs/policy.md").read_text("utf-8")
BLOCKS = re.findall(r"```(yaml|json|sh|text)\n(.*?)```", PAGE, re.DOTALL)
POLICY, COMMANDS, ANSWER, EXPLAINED, CASES, _ = (text for _, text in BLOCKS)


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's files, where its commands look for them."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("policy.yaml", POLICY), ("cases.yaml", CASES), ("answer.json", ANSWER)):
        Path(name).write_text(text, "utf-8")


@pytest.mark.parametrize("line", COMMANDS.splitlines())
def test_the_commands_run(line: str) -> None:
    """On the page's own files, each ends well."""
    words = shlex.split(line, comments=True)
    assert words[:2] == ["ostiary", "policy"]
    result = CliRunner().invoke(app, words[2:])
    assert result.exit_code == 0, result.output


def test_what_explain_prints() -> None:
    """The page shows it as it is."""
    result = CliRunner().invoke(app, ["explain", "policy.yaml", "--check", "answer.json"])
    assert result.stdout == EXPLAINED


def test_all_fallbacks_are_named() -> None:
    """Each that can be written, and the state that marks the cheap tier."""
    names = [name for name in dict(Fallback.items()) if name != "FALLBACK_UNSPECIFIED"]
    assert all(f"`{name}`" in PAGE for name in [*names, PolicyState.Name(5)])
