"""The files of a log's keys."""

from pathlib import Path

import pytest

from ostiary.tlog.keys import create_log_key, load_log_key, load_verifier_key
from ostiary.tlog.note import NoteError


def test_created_files(tmp_path: Path) -> None:
    """The private key is for its owner alone, and the two files belong together."""
    path = tmp_path / "log.key"
    key = create_log_key(path, "ostiary.local/log")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_log_key(path).verifier == load_verifier_key(tmp_path / "log.vkey") == key
    assert key.name == "ostiary.local/log"


@pytest.mark.parametrize("name", ["log.key", "log.vkey"])
def test_never_overwritten(tmp_path: Path, name: str) -> None:
    """Either file alone is enough to leave both as they are."""
    (tmp_path / name).write_text("precious")
    with pytest.raises(FileExistsError, match="never overwritten"):
        create_log_key(tmp_path / "log.key", "ostiary.local/log")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "precious")]


def test_damaged_files(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "log.key").write_text("PRIVATE+KEY+x+00000000+AAAA\n")
    with pytest.raises(NoteError, match=r"log\.key: the signing key is not"):
        load_log_key(tmp_path / "log.key")
    (tmp_path / "log.vkey").write_bytes(b"\xff")
    with pytest.raises(NoteError, match=r"log\.vkey"):
        load_verifier_key(tmp_path / "log.vkey")
