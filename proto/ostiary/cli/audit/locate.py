"""Finds what to audit: a published log, or all that a gateway keeps."""

from dataclasses import dataclass
from pathlib import Path

from ostiary.cli.audit.database import SCHEME
from ostiary.cli.audit.problem import UsageError
from ostiary.tlog.keys import load_verifier_key
from ostiary.tlog.note import NoteError, VerifierKey
from ostiary.tlog.tiles import CHECKPOINT


@dataclass(frozen=True)
class Target:
    """A published log's folder, the key that it must be signed with, and the store behind it, if at hand.

    The store is an SQLite file, or the URL of a PostgreSQL database.
    """

    log: Path
    key: VerifierKey
    store: Path | str | None


def locate(directory: Path, vkey: str | None, store: Path | str | None) -> Target:
    """The target that a directory holds.

    `directory` is a published log, or one made by `ostiary up`, which has key and store beside it; `vkey`
    is a verifier key or a file of one. Raises UsageError.
    """
    gateway = directory / "gateway"
    if (gateway / "log.vkey").exists():
        key = parse_key(vkey) if vkey else _load(gateway / "log.vkey")
        return Target(gateway / "log", key, store or gateway / "data" / "ostiary.db")
    if not (directory / CHECKPOINT).exists() and not (directory / "tile").exists():
        raise UsageError(f"{directory} is neither a published log nor a directory made by `ostiary up`")
    if not vkey:
        raise UsageError("say which key to trust: --vkey log.vkey, from whoever runs the log")
    return Target(directory, parse_key(vkey), store)


def parse_store(text: str) -> Path | str:
    """A store, given as a file or as a URL of PostgreSQL. Raises UsageError for another kind of URL."""
    if text.startswith(SCHEME):
        return text
    if "://" in text:
        raise UsageError(f"--store: name a file, or a URL that begins with {SCHEME}")
    return Path(text)


def parse_key(text: str) -> VerifierKey:
    """A verifier key, given as it is or as a file. Raises UsageError."""
    if Path(text).is_file():
        return _load(Path(text))
    try:
        return VerifierKey.parse(text)
    except NoteError as error:
        raise UsageError(f"--vkey is neither a file nor a verifier key: {error}") from error


def _load(path: Path) -> VerifierKey:
    try:
        return load_verifier_key(path)
    except (OSError, NoteError) as error:
        raise UsageError(f"the verifier key cannot be read: {error}") from error
