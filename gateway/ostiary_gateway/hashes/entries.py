"""Entries of a hash list, and a form of them that holds a million in little memory."""

from array import array
from dataclasses import dataclass
from datetime import UTC, datetime

# Between the texts of a packed entry; no text holds it, because texts are printable.
_SEPARATOR = "\x00"


@dataclass(frozen=True, slots=True)
class Entry:
    """One known image.

    Attributes:
        hash: 32 bytes.
        source: where the entry comes from: a team, an exchange; printable, at most 256 characters.
        seller: whom it holds for; empty: everybody. Printable, at most 256 characters.
        expires_at: aware time from which it no longer holds; None: it holds for good.
        note: why it is on the list; printable, at most 500 characters.
        tenant: for whose listings it holds; empty: everybody's. Printable, at most 256 characters.
    """

    hash: bytes
    source: str = ""
    seller: str = ""
    expires_at: datetime | None = None
    note: str = ""
    tenant: str = ""

    def holds(self, seller: str, at: datetime, tenant: str = "") -> bool:
        """Whether it holds for a tenant's seller at an aware time."""
        if self.tenant and self.tenant != tenant:
            return False
        if self.seller and self.seller != seller:
            return False
        return self.expires_at is None or at < self.expires_at


class PackedEntries:
    """All but the hashes of entries, by position: their UTF-8 and 8 bytes each."""

    def __init__(self) -> None:
        self._texts = bytearray()
        self._ends = array("Q")

    def __len__(self) -> int:
        """How many there are."""
        return len(self._ends)

    def append(
        self, source: str, seller: str, expires_at: datetime | None, note: str, tenant: str = ""
    ) -> None:
        """Add an entry; its fields are those of `Entry`."""
        if source or seller or note or expires_at or tenant:
            until = expires_at.astimezone(UTC).isoformat() if expires_at else ""
            self._texts += _SEPARATOR.join((source, seller, until, note, tenant)).encode()
        self._ends.append(len(self._texts))

    def entry(self, position: int, hash: bytes) -> Entry:  # noqa: A002 - the field's own term
        """The entry at a position, whose hash is `hash`."""
        start = self._ends[position - 1] if position else 0
        packed = self._texts[start : self._ends[position]]
        if not packed:
            return Entry(hash)
        source, seller, until, note, tenant = packed.decode().split(_SEPARATOR)
        return Entry(hash, source, seller, datetime.fromisoformat(until) if until else None, note, tenant)
