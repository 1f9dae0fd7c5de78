"""`ostiary gateway rotate-key`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ostiary_gateway.cli import app
from ostiary_gateway.store.sealing import create_evidence_key, load_evidence_keys


def test_a_new_key(tmp_path: Path) -> None:
    """It says which key does what from now on, and how many open."""
    path = tmp_path / "evidence.key"
    old = create_evidence_key(path)
    first = CliRunner().invoke(app, ["rotate-key", str(path)])
    new = load_evidence_keys(path)[0]
    assert (first.exit_code, first.stdout) == (
        0,
        f"{path}: key {new.id.hex()} seals from now on; 2 keys open\n",
    )
    second = CliRunner().invoke(app, ["rotate-key", str(path), "--last"])
    *before, last = load_evidence_keys(path)
    assert second.stdout == f"{path}: key {last.id.hex()} opens from now on; 3 keys open\n"
    assert before == [new, old]


@pytest.mark.parametrize("text", [None, "nonsense\n"], ids=["no file", "no key"])
def test_nothing_to_rotate(tmp_path: Path, text: str | None) -> None:
    """The file is named, with exit code 2, and stays as it is."""
    path = tmp_path / "evidence.key"
    if text:
        path.write_text(text)
    result = CliRunner().invoke(app, ["rotate-key", str(path)])
    assert result.exit_code == 2
    assert "evidence.key" in result.stderr
    assert [file.read_text() for file in tmp_path.iterdir()] == ([text] if text else [])
