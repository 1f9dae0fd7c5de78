"""The committed stubs are what the committed .proto files generate."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROTO = REPOSITORY / "proto"
STUBS = "*_pb2*.py*"


def stubs_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob(STUBS)}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stubs")
    command = [sys.executable, str(REPOSITORY / "proto/generate.py"), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return out


def test_same_files(generated: Path) -> None:
    """No stub is missing and none is left over."""
    assert stubs_below(generated) == stubs_below(PROTO)


@pytest.mark.parametrize("name", sorted(stubs_below(PROTO)))
def test_same_text(generated: Path, name: str) -> None:
    """Each stub is exactly what the generator writes."""
    assert (generated / name).read_text() == (PROTO / name).read_text()
