"""The files that hold a log's keys: `log.key`, which signs, and `log.vkey`, which auditors pin."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ostiary.tlog.note import NoteError, SignerKey, VerifierKey

_Key = TypeVar("_Key", SignerKey, VerifierKey)


def create_log_key(path: Path, origin: str) -> VerifierKey:
    """Make a log's key: the signing key at `path`, for its owner alone, and `path` with the suffix .vkey.

    Raises FileExistsError where either file exists: a log whose key is replaced can never grow again.
    NoteError where `origin` holds a space, a plus or a control character.
    """
    key = SignerKey.generate(origin)
    public = path.with_suffix(".vkey")
    for file in (path, public):
        if file.exists():
            raise FileExistsError(f"{file} exists; a log's key is never overwritten")
    _write_new(path, key.secret_text(), 0o600)
    _write_new(public, str(key.verifier), 0o644)
    return key.verifier


def _write_new(path: Path, line: str, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def load_log_key(path: Path) -> SignerKey:
    """Read a signing key. Raises OSError, or NoteError in words that name the file."""
    return _load(path, SignerKey.parse)


def load_verifier_key(path: Path) -> VerifierKey:
    """Read a verifier key. Raises OSError, or NoteError in words that name the file."""
    return _load(path, VerifierKey.parse)


def _load(path: Path, parse: Callable[[str], _Key]) -> _Key:
    try:
        return parse(path.read_bytes().decode().removesuffix("\n"))
    except ValueError as error:
        raise NoteError(f"{path}: {error}") from error
