"""`ostiary pki` as people use it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ostiary.cli.pki import app
from ostiary.wire.deny_list import parse_deny_list

ID = "spiffe://ostiary.local/tenant/demo/role/pipeline"


def pki(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def shown(path: Path) -> dict[str, object]:
    facts: dict[str, object] = json.loads(pki("show", path, "--json").stdout)
    return facts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An authority's folder, made by the command."""
    assert pki("init", tmp_path / "pki").exit_code == 0
    return tmp_path / "pki"


def test_issue_show_renew_deny(folder: Path, tmp_path: Path) -> None:
    """A certificate is issued, shown, renewed and denied."""
    out = tmp_path / "pipeline"
    issued = pki("issue", folder, "--out", out, "--id", ID, "--dns", "a.local", "--ip", "::1", "--hours", 2)
    assert issued.exit_code == 0
    assert ID in issued.stdout
    first = shown(out / "cert.pem")
    assert (first["id"], first["dns"], first["ip"]) == (ID, ["a.local"], ["::1"])
    assert pki("renew", folder, "--out", out).exit_code == 0
    second = shown(out / "cert.pem")
    assert second["serial"] != first["serial"]
    assert pki("deny", folder, out / "cert.pem", "--reason", "lost").exit_code == 0
    assert pki("deny", folder, first["serial"]).exit_code == 0
    assert parse_deny_list((folder / "deny.txt").read_bytes()) == {
        int(str(first["serial"]), 16),
        int(str(second["serial"]), 16),
    }
    assert "already" in pki("deny", folder, out / "cert.pem").stdout


def test_uses(folder: Path, tmp_path: Path) -> None:
    """A certificate can be good for clients alone."""
    assert pki("issue", folder, "--out", tmp_path / "c", "--id", ID, "--no-server").exit_code == 0
    assert shown(tmp_path / "c" / "cert.pem")["uses"] == ["client"]
    assert "client" in pki("show", tmp_path / "c" / "cert.pem").stdout


ERRORS = {
    "second authority": (["init", "{pki}"], "never overwritten"),
    "no authority": (["issue", "{tmp}", "--out", "{tmp}/x", "--id", ID], "ostiary pki init"),
    "no SPIFFE ID": (["issue", "{pki}", "--out", "{tmp}/x", "--id", "me"], "must begin with spiffe://"),
    "other domain": (["issue", "{pki}", "--out", "{tmp}/x", "--id", "spiffe://b/c"], "trust domain"),
    "no address": (["issue", "{pki}", "--out", "{tmp}/x", "--id", ID, "--ip", "x"], "'x' does not appear"),
    "too long": (
        ["issue", "{pki}", "--out", "{tmp}/x", "--id", ID, "--days", "999"],
        "authority itself ends",
    ),
    "no life": (["issue", "{pki}", "--out", "{tmp}/x", "--id", ID, "--hours", "0"], "longer than nothing"),
    "nothing to renew": (["renew", "{pki}", "--out", "{tmp}/x"], "cannot be read"),
    "no serial": (["deny", "{pki}", "lost-laptop"], "no such file"),
    "no certificate": (["show", "{pki}/ca.key"], "holds no certificate"),
}


@pytest.mark.parametrize(("arguments", "words"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_are_told_in_words(folder: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    """What went wrong is one line on stderr, and the exit code is 1."""
    result = pki(*(argument.format(pki=folder, tmp=tmp_path) for argument in arguments))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_help_has_examples() -> None:
    """The help shows how it is used."""
    assert "ostiary pki issue pki" in pki("--help").stdout
