"""`ostiary model inspect`: what people and programs are told about a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ostiary_moderation.bundle import Bundle
from ostiary_moderation.cli.model import app


def test_inspect_prints_json_for_programs() -> None:
    """Digests as loading measures them, and the whole manifest."""
    result = CliRunner().invoke(app, ["inspect", "mini", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.output)
    bundle = Bundle.load("mini")
    assert facts["digest"] == bundle.digest.hex()
    assert facts["weights_digest"] == bundle.weights_digest.hex()
    assert facts["manifest"]["questions"][0]["policy"] == "prohibited_ads"


def test_inspect_prints_words_for_people() -> None:
    """Name, digests, questions."""
    result = CliRunner().invoke(app, ["inspect"])
    assert result.exit_code == 0, result.output
    for word in ("mini", Bundle.load("mini").digest.hex(), "qr_code", "contact_details"):
        assert word in result.output


def test_inspect_of_nothing_is_an_error_in_words(tmp_path: Path) -> None:
    """One line on what was looked for, exit code 1, no traceback."""
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "no such bundle folder" in result.output


@pytest.mark.parametrize("command", ["train", "inspect", "init", "eval", "calibrate", "profile"])
def test_help_shows_an_example(command: str) -> None:
    """Every command can be copied from its help."""
    result = CliRunner().invoke(app, [command, "--help"])
    words = " ".join(result.output.split())
    assert "Example" in words
    assert f"ostiary model {command} " in words
