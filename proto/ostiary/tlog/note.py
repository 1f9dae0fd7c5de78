"""Signed notes of C2SP (c2sp.org/signed-note) with Ed25519, and the keys that sign and verify them.

Parsing is strict: what is accepted has exactly one spelling, so that no byte of a note can change unnoticed.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"  # c2sp.org/signed-note, signature types
_KEY_ID_BYTES = 4
_SIGNATURE_LINE = re.compile("— ([^ \n]+) ([^ \n]+)\n")
_MOST_SIGNATURES = 16
_SECRET_PREFIX = "PRIVATE+KEY+"  # noqa: S105 # the marker that Go's sumdb/note writes, not a secret


class NoteError(ValueError):
    """A note, or a key, that is malformed or not signed as it should be."""


def key_id(name: str, public: bytes) -> bytes:
    """c2sp.org/signed-note: SHA-256(name || 0x0A || signature type || public key)[:4]."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:_KEY_ID_BYTES]


def check_name(name: str) -> None:
    """Raise NoteError unless `name` may name a key: not empty, no space, no plus, no control character."""
    if not name or "+" in name or not name.isprintable() or any(c.isspace() for c in name):
        raise NoteError(
            f"{name!r} cannot name a key: it is empty, or has spaces, plus signs or control characters"
        )


def decode_base64(text: str) -> bytes:
    """Standard base64 in its one canonical spelling. Raises NoteError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("not base64") from error
    if encode_base64(data) != text:
        raise NoteError("not canonical base64")
    return data


def encode_base64(data: bytes) -> str:
    """Standard base64 (RFC 4648 §4)."""
    return base64.b64encode(data).decode("ascii")


@dataclass(frozen=True)
class VerifierKey:
    """A public key by name, written `name+id+base64(type || key)`; `public` is 32 bytes."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Raises NoteError where the text is not exactly one Ed25519 verifier key."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise NoteError("a verifier key is name+id+key")
        name, identifier, encoded = parts
        check_name(name)
        data = decode_base64(encoded)
        if len(data) != 33 or data[:1] != _ED25519:
            raise NoteError("the verifier key is not an Ed25519 key")
        key = cls(name, data[1:])
        if key.id.hex() != identifier:
            raise NoteError("the verifier key's id does not belong to its name and key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encode_base64(_ED25519 + self.public)}"

    @cached_property
    def id(self) -> bytes:
        """The key id, 4 bytes."""
        return key_id(self.name, self.public)

    def verify(self, note: str) -> str:
        """The note's text, its last newline included.

        Raises NoteError unless the note is well formed and this key has signed it.
        """
        text, signatures = split_note(note)
        mine = [data for name, data in signatures if name == self.name and data[:_KEY_ID_BYTES] == self.id]
        if len(mine) != 1:
            raise NoteError(f"not signed exactly once by {self.name}+{self.id.hex()}")
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(mine[0][_KEY_ID_BYTES:], text.encode())
        except InvalidSignature as error:
            raise NoteError(f"the signature of {self.name}+{self.id.hex()} does not fit the text") from error
        return text


@dataclass(frozen=True)
class SignerKey:
    """A private key by name; written as Go's sumdb/note does: `PRIVATE+KEY+name+id+base64(type || seed)`."""

    name: str
    private: Ed25519PrivateKey

    @classmethod
    def generate(cls, name: str) -> "SignerKey":
        """A new random key. Raises NoteError where nothing can be called by the name."""
        check_name(name)
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> "SignerKey":
        """Raises NoteError where the text is not exactly one Ed25519 signing key."""
        parts = text.removeprefix(_SECRET_PREFIX).split("+", 2)
        if not text.startswith(_SECRET_PREFIX) or len(parts) != 3:
            raise NoteError("a signing key is PRIVATE+KEY+name+id+key")
        name, identifier, encoded = parts
        check_name(name)
        data = decode_base64(encoded)
        if len(data) != 33 or data[:1] != _ED25519:
            raise NoteError("the signing key is not an Ed25519 key")
        key = cls(name, Ed25519PrivateKey.from_private_bytes(data[1:]))
        if key.verifier.id.hex() != identifier:
            raise NoteError("the signing key's id does not belong to its name and key")
        return key

    def secret_text(self) -> str:
        """The key as `parse` reads it."""
        seed = encode_base64(_ED25519 + self.private.private_bytes_raw())
        return f"{_SECRET_PREFIX}{self.name}+{self.verifier.id.hex()}+{seed}"

    @cached_property
    def verifier(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """A note of `text`, which ends in a newline."""
        signature = encode_base64(self.verifier.id + self.private.sign(text.encode()))
        return f"{text}\n— {self.name} {signature}\n"


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """A note's text, and its signatures as key name and id || signature.

    Raises NoteError where it is not a note by c2sp.org/signed-note. What the signatures say is not checked.
    """
    if any(ord(c) < 0x20 and c != "\n" for c in note):
        raise NoteError("the note holds a control character")
    body, blank, lines = note.rpartition("\n\n")
    if not blank or not lines:
        raise NoteError("the note has no signatures")
    signatures, end = [], 0
    for match in _SIGNATURE_LINE.finditer(lines):
        if match.start() != end:
            break
        check_name(match[1])
        signatures.append((match[1], decode_base64(match[2])))
        end = match.end()
    if end != len(lines) or len(signatures) > _MOST_SIGNATURES:
        raise NoteError("the note's signature lines are malformed")
    return body + "\n", signatures
