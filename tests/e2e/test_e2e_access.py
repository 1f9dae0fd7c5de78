"""Who is let in to a real stack, and what the others are told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.local_stack import LocalStack

PIPELINE = "spiffe://ostiary.local/tenant/demo/role/pipeline"


def profile(stack: LocalStack, folder: Path, **changes: str) -> Path:
    """A profile beside the certificate in `folder`, for the stack's gateway."""
    values = yaml.safe_load((stack.root / "pipeline/profile.yaml").read_text()) | changes
    (folder / "profile.yaml").write_text(yaml.safe_dump(values))
    return folder


def error_of(stack: LocalStack, role: Path) -> dict[str, Any]:
    """The error that a check ends with, its exit code asserted."""
    code, lines = stack.check("--want", "flags", stack.image("coffee.jpg"), role=str(role))
    assert code == 1
    return dict(lines[0]["error"])


@pytest.mark.parametrize("role", ["auditor", "lead-auditor", "compliance-admin", "sre"])
def test_other_roles(stack: LocalStack, role: str) -> None:
    """Only pipelines may check; the others are told so."""
    error = error_of(stack, Path(role))
    assert (error["reason"], error["status"]) == ("PERMISSION_DENIED", "PERMISSION_DENIED")


def test_foreign_authority(stack: LocalStack, tmp_path: Path) -> None:
    """A certificate of another authority is refused, and the message says that it is about certificates."""
    assert stack.run("pki", "init", tmp_path / "pki").code == 0
    assert stack.run("pki", "issue", tmp_path / "pki", "--out", tmp_path, "--id", PIPELINE).code == 0
    distrusts = error_of(stack, profile(stack, tmp_path))
    assert (distrusts["reason"], distrusts["status"]) == ("SERVER_CERTIFICATE", "UNAUTHENTICATED")
    both = (tmp_path / "ca.pem").read_text() + (stack.root / "pki/ca.pem").read_text()
    (tmp_path / "both.pem").write_text(both)
    refused = error_of(stack, profile(stack, tmp_path, ca="both.pem"))
    assert refused["reason"] == "CLIENT_CERTIFICATE"
    assert "certificate" in refused["message"]


def test_denied_serial(stack: LocalStack, tmp_path: Path) -> None:
    """A certificate on the deny-list is refused, though it is alive and of the right authority."""
    pki = stack.root / "pki"
    assert stack.run("pki", "issue", pki, "--out", tmp_path, "--id", PIPELINE).code == 0
    folder = profile(stack, tmp_path)
    code, _ = stack.check("--want", "flags", stack.image("bomb.png"), role=str(folder))
    assert code == 4
    assert stack.run("pki", "deny", pki, tmp_path / "cert.pem").code == 0
    assert error_of(stack, folder)["reason"] == "UNAUTHENTICATED"


def test_wrong_server_name(stack: LocalStack, tmp_path: Path) -> None:
    """A gateway that does not carry the name asked for is not talked to."""
    own = {name: str(stack.root / "pipeline" / f"{name}.pem") for name in ("ca", "cert", "key")}
    error = error_of(stack, profile(stack, tmp_path, server_name="elsewhere.example", **own))
    assert error["reason"] == "SERVER_CERTIFICATE"
    assert "name" in error["message"]
