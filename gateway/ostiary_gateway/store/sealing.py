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

from ostiary_gateway.evidence import EvidenceError

_MAGIC = b"ostiary-evidence-1\n"
_KEY_LINE = "ostiary-evidence-key-1 "
_KEY_BYTES, _ID_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 8, 12, 16
_WRAPPED_BYTES = _NONCE_BYTES + _KEY_BYTES + _TAG_BYTES
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Up to here a sealed item says how it is opened; without it, the rest says nothing to anybody.
HEADER_BYTES = len(_MAGIC) + _ID_BYTES + _WRAPPED_BYTES


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
        return _MAGIC + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def name_part(part: str) -> str:
    """The part of an item's name. Raises ValueError where it cannot be one."""
    if not _SAFE.fullmatch(part):
        raise ValueError(
            f"{part!r} cannot name evidence: 1 to 128 letters, digits, dots, underscores and hyphens, "
            "starting with a letter or digit"
        )
    return part


@dataclass(frozen=True)
class KeyEncryptionKey:
    """The key that wraps the items' keys: 32 bytes."""

    secret: bytes = field(repr=False)

    def current(self) -> "KeyEncryptionKey":
        """See `KeySource.current`: itself."""
        return self

    @property
    def id(self) -> bytes:
        """Tells keys apart without giving them away: 8 bytes."""
        return sha256(b"ostiary-evidence-key-id" + self.secret).digest()[:_ID_BYTES]

    def seal(self, item: ItemName, data: bytes) -> bytes:
        """The item's file."""
        key = secrets.token_bytes(_KEY_BYTES)
        wrapped = _encrypt(self.secret, key, item.bound() + self.id)
        return _MAGIC + self.id + wrapped + _encrypt(key, data, item.bound())

    def open(self, item: ItemName, sealed: bytes) -> bytes:
        """The item's bytes. Raises EvidenceError where the file was altered or is of another key or item."""
        identifier, rest = _split(_split(sealed, len(_MAGIC))[1], _ID_BYTES)
        if not sealed.startswith(_MAGIC):
            raise EvidenceError(f"evidence {item} is not a sealed file: it was altered")
        if identifier != self.id:
            raise EvidenceError(
                f"evidence {item} was sealed under the key {identifier.hex()}, not under {self.id.hex()}: "
                "give the gateway that key, or the file was altered"
            )
        wrapped, body = _split(rest, _WRAPPED_BYTES)
        try:
            return _decrypt(_decrypt(self.secret, wrapped, item.bound() + self.id), body, item.bound())
        except (InvalidTag, ValueError) as error:
            raise EvidenceError(f"evidence {item} was altered, or belongs to another item") from error


def _split(data: bytes, at: int) -> tuple[bytes, bytes]:
    return data[:at], data[at:]


def _encrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, bound)


def _decrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    nonce, body = _split(data, _NONCE_BYTES)
    return AESGCM(key).decrypt(nonce, body, bound)


def create_evidence_key(path: Path) -> KeyEncryptionKey:
    """Make a key-encryption key at `path`, for its owner alone.

    Raises FileExistsError where there is one: without the old key, the old evidence is lost.
    """
    key = KeyEncryptionKey(secrets.token_bytes(_KEY_BYTES))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(_KEY_LINE + base64.b64encode(key.secret).decode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def load_evidence_key(path: Path) -> KeyEncryptionKey:
    """Read a key-encryption key. Raises OSError, or ValueError in words that name the file."""
    line = path.read_bytes().decode("ascii", "replace")
    try:
        secret = base64.b64decode(line.removeprefix(_KEY_LINE).strip(), validate=True)
    except ValueError:  # not base64, or not ASCII
        secret = b""
    if not line.startswith(_KEY_LINE) or len(secret) != _KEY_BYTES:
        raise ValueError(
            f"{path} is not an evidence key: restore it, or make one with `ostiary gateway init`"
        )
    return KeyEncryptionKey(secret)
