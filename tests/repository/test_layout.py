"""The folders are what the build and the dependency rule expect."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTS = ("proto", "gateway", "moderation", "operator")


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_is_not_a_package(root: str) -> None:
    """A root that were a package would shadow others: `operator` is in the standard library."""
    assert not (REPOSITORY / root / "__init__.py").exists()


def test_tests_are_not_a_package() -> None:
    """Test folders mirror the code without becoming importable names of their own."""
    assert not list((REPOSITORY / "tests").rglob("__init__.py"))


def test_dependencies_run_one_way() -> None:
    """Services never import one another, and each pure core stays pure."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
