"""Seals evidence: each item under a random AES-256-GCM key of its own, which the key-encryption key wraps.

Tenant, check and name are bound in: a sealed item opens under its own name alone. Pure but for randomness.
"""

import base64
import os
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ostiary_gateway.durable import replace_file
from ostiary_gateway.evidence import EvidenceError

# What a sealed item begins with: of a key from a file, and of one from a KMS, which stands in the item too.
_OF_FILE, _OF_KMS = b"ostiary-evidence-1\n", b"ostiary-evidence-2\n"
_KEY_LINE = "ostiary-evidence-key-1 "
KEY_BYTES = 32
# More than a KMS may ask to keep, and less than an altered item could have one decrypt.
MAX_ENVELOPE_BYTES = 64 * 1024
_ID_BYTES, _NONCE_BYTES, _TAG_BYTES, _LENGTH_BYTES = 8, 12, 16, 4
_WRAPPED_BYTES = _NONCE_BYTES + KEY_BYTES + _TAG_BYTES
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Up to here stands the item's own key; without it, the rest says nothing to anybody.
HEADER_BYTES = len(_OF_FILE) + _ID_BYTES + _WRAPPED_BYTES


@dataclass(frozen=True)
class ItemName:
    """Which item: its tenant, check id and name."""

    tenant: str
    check_id: str
    name: str

    @classmethod
    def of(cls, tenant: str, check_id: str, name: str) -> "ItemName":
        """The item, if it can have such a name. Raises ValueError."""
        return cls(name_part(tenant), name_part(check_id), name_part(name))

    def __str__(self) -> str:
        return f"{self.tenant}/{self.check_id}/{self.name}"

    def bound(self) -> bytes:
        """What encryption binds in; no two items share it."""
        parts = (self.tenant.encode(), self.check_id.encode(), self.name.encode())
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def name_part(part: str) -> str:
    """The part of an item's name. Raises ValueError where it cannot be one."""
    if not _SAFE.fullmatch(part):
        raise ValueError(
            f"{part!r} cannot name evidence: 1 to 128 letters, digits, dots, underscores and hyphens, "
            "starting with a letter or digit"
        )
    return part


@dataclass(frozen=True)
class KmsKey:
    """A KMS's key-encryption key: its id, 8 bytes, and how the KMS gives it back, a serialised WrappedKey."""

    id: bytes
    envelope: bytes


@dataclass(frozen=True)
class KeyEncryptionKey:
    """The key that wraps the items' keys: 32 bytes.

    `envelope` is how a KMS gives the key back, a serialised WrappedKey; every item that is sealed under it
    carries it. At most `MAX_ENVELOPE_BYTES`; empty where the key is in a file.
    """

    secret: bytes = field(repr=False)
    envelope: bytes = field(default=b"", repr=False)

    def current(self) -> "KeyEncryptionKey":
        """See `KeySource.current`: itself."""
        return self

    async def opening(self, item: ItemName, sealed: bytes) -> "KeyEncryptionKey":
        """See `KeySource.opening`: itself, which says so where it is not the one."""
        return self

    @property
    def id(self) -> bytes:
        """Tells keys apart without giving them away: 8 bytes."""
        return sha256(b"ostiary-evidence-key-id" + self.secret).digest()[:_ID_BYTES]

    def seal(self, item: ItemName, data: bytes) -> bytes:
        """The item's file."""
        key = secrets.token_bytes(KEY_BYTES)
        start, more = _OF_FILE, b""
        if self.envelope:
            start, more = _OF_KMS, len(self.envelope).to_bytes(_LENGTH_BYTES, "big") + self.envelope
        bound = start + item.bound()
        wrapped = _encrypt(self.secret, key, bound + self.id + self.envelope)
        # Joined once: an item may have megabytes.
        return b"".join((start, self.id, *wrapped, more, *_encrypt(key, data, bound)))

    def open(self, item: ItemName, sealed: bytes) -> bytes:
        """The item's bytes. Raises EvidenceError where the file was altered or is of another key or item."""
        found = _Sealed.of(item, sealed)
        if found.key_id != self.id:
            raise EvidenceError(
                f"evidence {item} was sealed under the key {found.key_id.hex()}, not under {self.id.hex()}: "
                "give the gateway that key too, or the file was altered"
            )
        bound = found.start + item.bound()
        try:
            key = _decrypt(self.secret, found.wrapped, bound + self.id + found.envelope)
            return _decrypt(key, found.body, bound)
        except (InvalidTag, ValueError) as error:
            raise EvidenceError(f"evidence {item} was altered, or belongs to another item") from error


@dataclass(frozen=True)
class _Sealed:
    """The parts of a sealed item."""

    start: bytes
    key_id: bytes
    wrapped: bytes
    envelope: bytes
    body: bytes

    @classmethod
    def of(cls, item: ItemName, sealed: bytes) -> "_Sealed":
        """Raises EvidenceError where it begins as no sealed item does."""
        start = sealed[: len(_OF_FILE)]
        if start not in (_OF_FILE, _OF_KMS):
            raise EvidenceError(f"evidence {item} is not a sealed file: it was altered")
        at = len(start) + _ID_BYTES
        key_id, wrapped = sealed[len(start) : at], sealed[at:HEADER_BYTES]
        body = begin = HEADER_BYTES
        if start == _OF_KMS:
            begin += _LENGTH_BYTES
            length = int.from_bytes(sealed[HEADER_BYTES:begin], "big")
            body = begin + length
            if not 0 < length <= MAX_ENVELOPE_BYTES or len(sealed) < body:
                raise EvidenceError(f"evidence {item} was altered: what its KMS needs is not there")
        return cls(start, key_id, wrapped, sealed[begin:body], sealed[body:])


def kms_key_of(item: ItemName, sealed: bytes) -> KmsKey | None:
    """The key of a KMS that an item was sealed under; None where it is from a file.

    Raises EvidenceError where it is no sealed item.
    """
    found = _Sealed.of(item, sealed)
    return KmsKey(found.key_id, found.envelope) if found.envelope else None


def key_id_of(sealed: bytes) -> bytes:
    """The id of the key that a sealed item names."""
    return sealed[len(_OF_FILE) : len(_OF_FILE) + _ID_BYTES]


def _split(data: bytes, at: int) -> tuple[bytes, bytes]:
    return data[:at], data[at:]


def _encrypt(key: bytes, data: bytes, bound: bytes) -> tuple[bytes, bytes]:
    """A nonce, and what is encrypted with it."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce, AESGCM(key).encrypt(nonce, data, bound)


def _decrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    nonce, body = _split(data, _NONCE_BYTES)
    return AESGCM(key).decrypt(nonce, body, bound)


def create_evidence_key(path: Path) -> KeyEncryptionKey:
    """Make a key-encryption key at `path`, for its owner alone.

    Raises FileExistsError where there is one: without the old key, the old evidence is lost.
    """
    key = KeyEncryptionKey(secrets.token_bytes(KEY_BYTES))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(_line(key))
        file.flush()
        os.fsync(file.fileno())
    return key


def add_evidence_key(path: Path, *, last: bool = False) -> KeyEncryptionKey:
    """Put a new key before those of the file at `path`, or after them: the first seals, all of them open.

    The file is there whole at any moment, with its owner and rights. Raises OSError, or ValueError as
    `load_evidence_keys`.
    """
    path = path.resolve()
    load_evidence_keys(path)
    old, key = path.read_text(encoding="ascii"), KeyEncryptionKey(secrets.token_bytes(KEY_BYTES))
    text = old.rstrip("\n") + "\n" + _line(key) if last else _line(key) + old
    replace_file(path, text.encode("ascii"), keep_rights=True)
    return key


def load_evidence_keys(path: Path) -> tuple[KeyEncryptionKey, ...]:
    """Read the key-encryption keys of a file, one a line: the first seals, all of them open.

    Raises OSError, or ValueError in words that name the file, and the line where there are several.
    """
    text = path.read_bytes().decode("ascii", "replace")
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    keys = []
    for number, line in lines or [(1, "")]:
        try:
            secret = base64.b64decode(line.removeprefix(_KEY_LINE).strip(), validate=True)
        except ValueError:  # not base64, or not ASCII
            secret = b""
        if not line.startswith(_KEY_LINE) or len(secret) != KEY_BYTES:
            where = f"{path}, line {number}," if len(lines) > 1 else str(path)
            raise ValueError(
                f"{where} is not an evidence key: restore it, or make one with `ostiary gateway init`"
            )
        keys.append(KeyEncryptionKey(secret))
    return tuple(keys)


def _line(key: KeyEncryptionKey) -> str:
    return _KEY_LINE + base64.b64encode(key.secret).decode() + "\n"
