"""`ostiary rbac` as people and programs call it."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ostiary_gateway.cli.rbac import app

PIPELINE = "spiffe://ostiary.local/tenant/demo/role/pipeline"
AUDITOR = "spiffe://ostiary.local/tenant/demo/role/auditor"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(*arguments, "--json").stdout)
    return document


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    """The shipped roles."""
    file = tmp_path / "roles.yaml"
    file.write_text((files("ostiary_gateway") / "defaults/roles.yaml").read_text("utf-8"), "utf-8")
    return file


def test_lint_says_that_all_is_well(roles: Path) -> None:
    """The shipped roles are sound, and their cases turn out as they say."""
    assert run("lint", roles).exit_code == 0
    assert answer("lint", roles)["problems"] == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ModerationService/Check\n", "ModerationService/Chekc\n", "there is no method"),
        ("allowed: false", "allowed: true", "is denied: no rule holds"),
    ],
)
def test_lint_says_what_is_wrong(roles: Path, old: str, new: str, words: str) -> None:
    """A bad name, and a case that fails, are both found; exit code 1."""
    roles.write_text(roles.read_text("utf-8").replace(old, new, 1), "utf-8")
    result = run("lint", roles)
    assert (result.exit_code, words in result.stdout) == (1, True)


@pytest.mark.parametrize(
    ("id_", "method", "code", "rule"),
    [
        (PIPELINE, "ModerationService/Check", 0, "roles.pipeline"),
        (AUDITOR, "ModerationService/Check", 3, ""),
        ("spiffe://ostiary.local/nobody", "ModerationService/Check", 3, ""),
    ],
)
def test_explain_says_whether_a_caller_may_and_why(
    roles: Path, id_: str, method: str, code: int, rule: str
) -> None:
    """The decision is in the exit code, and the rule in the text."""
    result = run("explain", roles, "--id", id_, "--method", method)
    assert result.exit_code == code
    decided = answer("explain", roles, "--id", id_, "--method", method)["methods"][method]
    assert decided == {"allowed": code == 0, "rule": rule}
    assert (rule or "no rule holds") in result.stdout


def test_explain_says_what_a_caller_may(roles: Path) -> None:
    """Without a method: all of them, with the caller's role and tenant."""
    document = answer("explain", roles, "--id", AUDITOR)
    assert (document["role"], document["tenant"]) == ("auditor", "demo")
    allowed = {name for name, decided in document["methods"].items() if decided["allowed"]}
    assert "AuditService/GetCase" in allowed
    assert not any(name.startswith(("ModerationService", "AdminService")) for name in allowed)


def test_explain_says_who_may_call_a_method(roles: Path) -> None:
    """Without a caller: the rules that name it, and whom they speak of."""
    (rule,) = answer("explain", roles, "--method", "AuditService/EraseCheck")["rules"]
    assert rule["rule"] == "roles.compliance-admin"
    assert any("compliance-admin" in caller for caller in rule["callers"])
    assert "roles.pipeline" in run("explain", roles).stdout


def test_cases_are_tried(roles: Path) -> None:
    """The shipped file has cases, and they turn out as they say."""
    document = answer("test", roles)
    assert document["cases"] >= 5
    assert document["failures"] == []


def test_a43_exports_what_it_can(tmp_path: Path, roles: Path) -> None:
    """Roles with listed tenants come out as a policy that reads back; open tenants are refused in words."""
    refused = run("a43", roles)
    assert (refused.exit_code, "list the tenants" in refused.output) == (1, True)
    closed = tmp_path / "closed.yaml"
    closed.write_text(
        "roles: {pipeline: {methods: [ModerationService/Check], tenants: [one]}}\n"
        "bindings: [{prefix: 'spiffe://a.test/tenant/{tenant}', role: pipeline}]\n",
        "utf-8",
    )
    policy = tmp_path / "policy.json"
    policy.write_text(run("a43", closed).stdout, "utf-8")
    asked = ("explain", policy, "--method", "ModerationService/Check", "--id")
    assert run(*asked, "spiffe://a.test/tenant/one/x").exit_code == 0
    assert run(*asked, "spiffe://a.test/tenant/ones").exit_code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--method", "Check"), id="no such method"),
        pytest.param(("--id", "CN=root"), id="no SPIFFE ID"),
        pytest.param(("--id", PIPELINE, "--metadata", "x"), id="metadata without a value"),
    ],
)
def test_a_wrong_command_line_is_usage(roles: Path, arguments: tuple[str, ...]) -> None:
    """Exit code 2, before anything is decided."""
    assert run("explain", roles, *arguments).exit_code == 2
