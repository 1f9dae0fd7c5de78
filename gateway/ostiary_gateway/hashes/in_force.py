"""Hash lists as decisions use them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ostiary_gateway.hashes.entries import Entry, PackedEntries
from ostiary_gateway.hashes.header import PDQ, Header
from ostiary_gateway.hashes.index import HashIndex


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that an image's hash matched, and how many bits they differ in."""

    entry: Entry
    distance: int


@dataclass(frozen=True, slots=True, eq=False)
class ListInForce:
    """A list, ready to be looked up in.

    Attributes:
        header: what the list is.
        digest: SHA-256 over the SHA-256 of its header file, then the bytes of its entry file; 32 bytes.
        index: its hashes.
        entries: the rest of its entries, by the same positions.
    """

    header: Header
    digest: bytes
    index: HashIndex
    entries: PackedEntries

    def __len__(self) -> int:
        """How many entries it has."""
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        """Its entries, in the order of its file."""
        for position in range(len(self)):
            yield self.entries.entry(position, self.index.hash_at(position))

    def near(self, hash: bytes) -> Iterator[Hit]:  # noqa: A002 - the field's own term
        """The entries within the list's distance of a hash (32 bytes), the nearest first."""
        for near in self.index.within(hash):
            yield Hit(self.entries.entry(near.position, self.index.hash_at(near.position)), near.distance)

    def find(self, hash: bytes, seller: str, at: datetime, tenant: str = "") -> Hit | None:  # noqa: A002
        """The nearest of those that holds for a tenant's seller at an aware time; None without one."""
        return next((hit for hit in self.near(hash) if hit.entry.holds(seller, at, tenant)), None)


@dataclass(frozen=True, slots=True, eq=False)
class HashLists:
    """All lists in force, by name."""

    by_name: Mapping[str, ListInForce]

    @property
    def asking(self) -> tuple[ListInForce, ...]:
        """Those whose matches ask for REVIEW or BLOCK."""
        return tuple(one for one in self.by_name.values() if not one.header.allows)

    @property
    def allowing(self) -> tuple[ListInForce, ...]:
        """Those whose matches allow."""
        return tuple(one for one in self.by_name.values() if one.header.allows)

    @property
    def needing_pdq(self) -> tuple[ListInForce, ...]:
        """Those that cannot be answered for an image without its perceptual hash, and must be."""
        return tuple(one for one in self.asking if one.header.kind == PDQ)


NO_LISTS = HashLists({})
