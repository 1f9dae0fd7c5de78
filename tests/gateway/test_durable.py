"""Files that are replaced whole."""

import os
from pathlib import Path

import pytest

from ostiary_gateway.durable import replace_file


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    """Nothing is left beside it."""
    path = tmp_path / "house.json"
    for data in (b"one", b"two"):
        replace_file(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, say: the old file stays whole, and nothing half written stays beside it."""
    path = tmp_path / "house.json"
    replace_file(path, b"one")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]
