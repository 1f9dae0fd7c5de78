"""`ostiary rules`: what it says of good and of bad packs, to people and to programs, and its exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ostiary_gateway.cli.rules import app

GOOD = """
name: tiny
version: "1"
jurisdiction: FR
rules:
  - id: tiny.word
    policy: prohibited_ads
    label: contact_details
    severity: review
    article: Code, Art. 1
    patterns: ['secret']
    seller_reason: Change it.
    matches: ['a secret']
    ignores: ['nothing']
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def broken(file: Path, old: str, new: str) -> str:
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    return str(file)


def test_lint_of_a_good_pack(file: Path) -> None:
    """One line for each file, exit code 0."""
    done = run("lint", str(file))
    assert (done.exit_code, done.output) == (0, f"{file}: ok\n")


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("'secret'", "'secret('", 11, "'secret(' is not a regular expression: missing )"),
        ("    ignores: ['nothing']\n", "", 6, "ignores: give at least one text"),
        ("['nothing']", "['secrets']", 14, "matches 'secrets', which it should ignore"),
        ("['a secret']", "['no']", 13, "does not match its own case 'no'"),
        ("severity: review", "severity: fatal", 9, "'block', 'review' or 'note'"),
        ("rules:", "rules: {", 6, "expected"),
    ],
)
def test_lint_of_a_bad_pack(file: Path, old: str, new: str, line: int, reason: str) -> None:
    """FILE:LINE: why, exit code 1."""
    done = run("lint", broken(file, old, new))
    assert done.exit_code == 1
    assert f"{file}:{line}: " in done.output
    assert reason in done.output


def test_lint_for_programs(file: Path) -> None:
    """Problems as JSON, each with its line."""
    done = run("lint", "--json", broken(file, "'secret'", "'['"))
    told = json.loads(done.output)
    assert (done.exit_code, told["ok"], [problem["line"] for problem in told["problems"]]) == (1, False, [11])


@pytest.mark.parametrize("command", ["lint", "test", "list"])
def test_a_file_that_is_not_there(command: str) -> None:
    """A mistake in the call is exit code 2."""
    done = run(command, "no-such-pack.yaml")
    assert done.exit_code == 2
    assert "no-such-pack.yaml" in done.output


def test_cases_that_pass(file: Path) -> None:
    """Each rule with how many of its texts it matches and leaves alone."""
    done = run("test", "us-ads", str(file))
    assert done.exit_code == 0
    assert "health.disease" in done.output
    assert "1 of 1" in done.output


def test_cases_that_fail(file: Path) -> None:
    """The rule is marked, and the text is told with file and line."""
    done = run("test", broken(file, "['nothing']", "['fine', 'secrets']"))
    assert done.exit_code == 1
    assert "FAILS" in done.output
    assert "1 of 2" in done.output
    assert f"{file}:14: rule tiny.word: matches 'secrets'" in done.output


def test_cases_for_programs() -> None:
    """All shipped packs, one line for each rule."""
    done = run("test", "--json")
    rows = [json.loads(line) for line in done.output.splitlines()]
    assert done.exit_code == 0
    assert all(row["ok"] and row["matches"][0] == row["matches"][1] > 0 for row in rows)
    assert {row["pack"] for row in rows} == {"cn-advertising-law@1", "diversion@1", "eu-ads@1", "us-ads@1"}


def test_a_pack_that_is_none_has_no_cases(file: Path) -> None:
    """What lint would say is said here too."""
    done = run("test", broken(file, "version", "verison"))
    assert done.exit_code == 1
    assert "version: Field required" in done.output


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ((), {"tiny.word"}),
        (("--jurisdiction", "FR"), {"tiny.word"}),
        (("--jurisdiction", "CN"), set()),
        (("--label", "contact_details"), {"tiny.word"}),
        (("--label", "qr_code"), set()),
    ],
)
def test_list_for_programs(file: Path, options: tuple[str, ...], rules: set[str]) -> None:
    """Only the rules that are asked for, with jurisdiction, severity and article."""
    done = run("list", str(file), "--json", *options)
    found = [json.loads(line) for line in done.output.splitlines()]
    assert {rule["rule"] for rule in found} == rules
    assert all((rule["severity"], rule["article"]) == ("review", "Code, Art. 1") for rule in found)


def test_list_for_people() -> None:
    """A table for each pack."""
    done = run("list", "--jurisdiction", "EU", "--label", "absolute_claim")
    assert done.exit_code == 0
    assert "eu-ads@1, EU" in done.output
    assert "Directive 2005/29/EC" in done.output


def test_list_of_a_bad_pack(file: Path) -> None:
    """Nothing is listed from a pack that cannot be read."""
    done = run("list", broken(file, "name: tiny", "name: [tiny]"))
    assert done.exit_code == 1
    assert f"{file}:2: name" in done.output


@pytest.mark.parametrize("command", ["lint", "test", "list"])
def test_help_has_examples(command: str) -> None:
    """Each command shows how it is called and what its exit codes mean."""
    done = run(command, "--help")
    assert f"ostiary rules {command}" in done.output
    assert "Exit codes" in done.output
