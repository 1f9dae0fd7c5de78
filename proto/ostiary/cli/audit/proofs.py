"""Checks what a gateway answers about its log, and takes nothing on its word."""

from pathlib import Path

from ostiary.cli.audit.calls import AuditCalls
from ostiary.cli.audit.earlier import earlier_checkpoints
from ostiary.cli.audit.problem import Tampered
from ostiary.tlog.checkpoint import Checkpoint, open_checkpoint
from ostiary.tlog.merkle import ProofError, verify_consistency, verify_inclusion
from ostiary.tlog.note import NoteError, VerifierKey, split_note
from ostiary.v1.audit_pb2 import GetInclusionProofResponse


def read_checkpoint(note: str, key: VerifierKey | None) -> Checkpoint:
    """The checkpoint of a note; its signature is verified where there is a key. Raises Tampered."""
    try:
        return Checkpoint.parse_text(split_note(note)[0]) if key is None else open_checkpoint(note, key)
    except NoteError as error:
        raise Tampered(f"the checkpoint does not verify: {error}") from error


def check_inclusion(
    proof: GetInclusionProofResponse, log_index: int, expected: bytes, key: VerifierKey | None
) -> Checkpoint:
    """The checkpoint that the entry is proved to be under. Raises Tampered.

    `expected` is the leaf hash that the receipt names; empty where none is at hand.
    """
    checkpoint = read_checkpoint(proof.checkpoint, key)
    if expected and expected != proof.leaf_hash:
        raise Tampered(f"entry {log_index} is not the one that the receipt names", log_index)
    try:
        verify_inclusion(proof.leaf_hash, log_index, checkpoint.size, list(proof.path), checkpoint.root)
    except ProofError as error:
        raise Tampered(f"entry {log_index} is not proved: {error}", log_index) from error
    return checkpoint


async def check_extends(calls: AuditCalls, key: VerifierKey, remembered: Path, checkpoint: Checkpoint) -> int:
    """Hold a checkpoint to the one that was kept; that one's size, 0 where none was.

    Raises Tampered, UsageError and OstiaryError.
    """
    kept = earlier_checkpoints(key, None, remembered)
    if not kept:
        return 0
    (old,) = kept
    if old.size > checkpoint.size:
        raise Tampered(f"the log has {checkpoint.size} entries, but had {old.size} before: it was cut short")
    proof = await calls.consistency(old.size, checkpoint.size) if 0 < old.size < checkpoint.size else None
    path = list(proof.path) if proof else []
    try:
        verify_consistency(old.size, old.root, checkpoint.size, checkpoint.root, path)
    except ProofError as error:
        words = f"the log does not extend the one of {old.size} entries: history was rewritten ({error})"
        raise Tampered(words) from error
    return old.size
