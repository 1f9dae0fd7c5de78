"""Items are files that are there whole, or not at all."""

import errno
import os
from pathlib import Path

import pytest

from ostiary_gateway.store.item_files import ItemFiles


def test_file_systems_without_nameless_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There an item is written under another name first; whole or not at all all the same."""
    opened = os.open

    def without(path: str, flags: int, *more: object, **named: object) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no such files here")
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", without)
    files = ItemFiles(tmp_path)
    for data in (b"first", b"pixels"):
        for name in ("canonical-0", "blurred-0", "request"):
            files.write(f"demo/check-1/{name}", data)
    written = {path.name: path.read_bytes() for path in (tmp_path / "demo" / "check-1").iterdir()}
    assert written == dict.fromkeys(("canonical-0", "blurred-0", "request"), b"pixels")
