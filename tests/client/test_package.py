"""`import ostiary` is cheap, and its names are there when asked for."""

import subprocess
import sys

import pytest

import ostiary


def test_import_is_cheap() -> None:
    """The package alone imports neither gRPC nor protobuf."""
    code = "import sys, ostiary; print(sorted({'grpc', 'google.protobuf', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ostiary.__all__)
def test_names(name: str) -> None:
    """Every public name is there."""
    assert getattr(ostiary, name)


def test_unknown_name() -> None:
    """A name that is not public is an AttributeError."""
    with pytest.raises(AttributeError, match="nothing"):
        ostiary.nothing  # noqa: B018
