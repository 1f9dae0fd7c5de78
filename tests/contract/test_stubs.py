"""The committed stubs are what the committed .proto files generate."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
COMMITTED = REPOSITORY / "proto/ostiary/v1"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stubs")
    command = [sys.executable, str(REPOSITORY / "proto/generate.py"), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return out / "ostiary/v1"


def test_same_files(generated: Path) -> None:
    """No stub is missing and none is left over."""
    committed = {path.name for path in COMMITTED.glob("*_pb2*.py*")}
    assert {path.name for path in generated.iterdir()} == committed


@pytest.mark.parametrize("name", sorted(path.name for path in COMMITTED.glob("*_pb2*.py*")))
def test_same_text(generated: Path, name: str) -> None:
    """Each stub is exactly what the generator writes."""
    assert (generated / name).read_text() == (COMMITTED / name).read_text()
