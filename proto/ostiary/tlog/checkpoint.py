"""Checkpoints of C2SP (c2sp.org/tlog-checkpoint): a tree's size and root under the log's signature."""

import re
from dataclasses import dataclass

from ostiary.tlog.merkle import HASH_BYTES
from ostiary.tlog.note import NoteError, SignerKey, VerifierKey, decode_base64, encode_base64, split_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    """The log `origin` had `size` entries under the RFC 6962 root `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text, last newline included."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def parse_text(cls, text: str) -> "Checkpoint":
        """Raises NoteError; extension lines are refused, since no auditor could check them."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0] or not _SIZE.fullmatch(lines[1]):
            raise NoteError("a checkpoint is three lines: origin, tree size, root hash")
        root = decode_base64(lines[2])
        if len(root) != HASH_BYTES:
            raise NoteError("the checkpoint's root hash is not 32 bytes")
        return cls(lines[0], int(lines[1]), root)


def sign_checkpoint(checkpoint: Checkpoint, key: SignerKey) -> str:
    """The checkpoint as a note signed by its log."""
    return key.sign(checkpoint.text())


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint that a note carries, once verified: signed by `key`, and of the origin that `key` names.

    Only the log's own signature is taken. Raises NoteError.
    """
    checkpoint = Checkpoint.parse_text(key.verify(note))
    if checkpoint.origin != key.name:
        raise NoteError(f"the checkpoint is of {checkpoint.origin!r}, not of {key.name!r}")
    if len(split_note(note)[1]) != 1:
        raise NoteError("the checkpoint carries signatures that nobody here can verify")
    return checkpoint
