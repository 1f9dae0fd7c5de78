"""Checkpoints that an auditor kept from earlier audits."""

import os
from pathlib import Path

from ostiary.cli.audit.problem import UsageError
from ostiary.tlog.checkpoint import Checkpoint, open_checkpoint
from ostiary.tlog.note import VerifierKey


def earlier_checkpoints(key: VerifierKey, given: Path | None, remembered: Path | None) -> list[Checkpoint]:
    """The checkpoints to hold the log to; `remembered` need not exist yet. Raises UsageError."""
    files = [] if given is None else [given]
    if remembered is not None and remembered.exists():
        files.append(remembered)
    return [_load(file, key) for file in files]


def _load(file: Path, key: VerifierKey) -> Checkpoint:
    try:
        return open_checkpoint(file.read_bytes().decode(), key)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is not a checkpoint of {key.name}: {error}") from error


def keep_checkpoint(file: Path, note: str) -> None:
    """Keep a checkpoint for the next audit, whole or not at all. Raises UsageError where that fails."""
    staged = file.with_name(file.name + ".new")
    try:
        with staged.open("wb") as out:
            out.write(note.encode())
            out.flush()
            os.fsync(out.fileno())
        staged.replace(file)
    except OSError as error:
        raise UsageError(f"the log verifies, but its checkpoint cannot be kept: {error}") from error
