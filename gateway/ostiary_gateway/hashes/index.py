"""Which of many hashes of 256 bits are within a Hamming distance of one.

Multi-index hashing (Norouzi, Punjani, Fleet: "Fast Exact Search in Hamming Space With Multi-Index Hashing",
IEEE TPAMI 36(6), 2014): the hash is cut into bands, and each band is a table from its value to the hashes
that have it. A hash within the distance is found in one of the tables, at the band's own value or at most two
bits from it; what the tables give is compared in full. Bands of 16 bits take the least memory; where hashes
are many, wider bands leave fewer to compare: 0.14 % of them at a distance of 31, in place of 0.4 %.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, combinations
from typing import NamedTuple

HASH_BYTES = 32
MOST_DISTANT = 31
"""Largest distance that an index can be made for: beyond it, narrow bands can differ in two bits each."""

_SCANNED = 1024  # so few hashes are compared one by one, in a sixth of a millisecond, without any table
_MANY = 1 << 18
# Widths of the bands, in bits, the widest first: 256 together.
_NARROW = (16,) * 16
_WIDE = (20,) * 9 + (19,) * 4


class Near(NamedTuple):
    """A hash within the distance: its distance in bits, and its position in what the index was made of."""

    distance: int
    position: int


@dataclass(frozen=True, slots=True)
class _Band:
    """Bits of a hash, as a number: `width` of them, the lowest at `shift`.

    `flips`: what is XORed to a value to get those to look up.
    """

    shift: int
    width: int
    flips: tuple[int, ...]

    def of(self, hash: int) -> int:  # noqa: A002 - the field's own term
        return (hash >> self.shift) & ((1 << self.width) - 1)


@dataclass(frozen=True, slots=True)
class _Table:
    """Positions of all hashes, by value of a band: of value v from starts[v] to before starts[v + 1]."""

    band: _Band
    starts: "array[int]"
    positions: "array[int]"


class HashIndex:
    """Finds hashes by distance.

    Takes 72 bytes for a hash and 4 more for each table that the distance needs, 16 at most; the tables
    themselves take 4 MB together, above 262,144 hashes 46 MB.
    """

    def __init__(
        self,
        hashes: bytes | bytearray,
        max_distance: int,
        *,
        scanned: int = _SCANNED,
        many: int = _MANY,
    ) -> None:
        """Make the index.

        Args:
            hashes: 32 bytes each, without anything between them.
            max_distance: the farthest that is looked up, 0 to 31 bits.
            scanned: so few are compared one by one, without tables.
            many: from so many on, bands are wide.

        Raises:
            ValueError: the length is no multiple of 32, or the distance is not 0 to 31.
        """
        if len(hashes) % HASH_BYTES:
            raise ValueError(f"{len(hashes)} bytes are not a whole number of hashes of {HASH_BYTES}")
        if not 0 <= max_distance <= MOST_DISTANT:
            raise ValueError(f"a distance of {max_distance} bits; 0 to {MOST_DISTANT} can be looked up")
        self.max_distance = max_distance
        self._hashes = [
            int.from_bytes(hashes[start : start + HASH_BYTES]) for start in range(0, len(hashes), HASH_BYTES)
        ]
        count = len(self._hashes)
        bands = _bands(_WIDE if count >= many else _NARROW, max_distance) if count > scanned else ()
        self._tables = tuple(_table(band, self._hashes) for band in bands)

    def __len__(self) -> int:
        """How many hashes there are."""
        return len(self._hashes)

    def hash_at(self, position: int) -> bytes:
        """The hash at a position, 32 bytes."""
        return self._hashes[position].to_bytes(HASH_BYTES)

    def within(self, hash: bytes) -> list[Near]:  # noqa: A002 - the field's own term
        """All hashes within the distance of `hash` (32 bytes), the nearest first, then by position."""
        hashes, wanted, most = self._hashes, int.from_bytes(hash), self.max_distance
        found = {at for at in self._candidates(wanted) if (hashes[at] ^ wanted).bit_count() <= most}
        return sorted(Near((hashes[at] ^ wanted).bit_count(), at) for at in found)

    def _candidates(self, wanted: int) -> Iterable[int]:
        if not self._tables:
            return range(len(self._hashes))
        found = array("I")
        for table in self._tables:
            starts, positions, value = table.starts, table.positions, table.band.of(wanted)
            for flip in table.band.flips:
                near = value ^ flip
                start, end = starts[near], starts[near + 1]
                if start != end:
                    found += positions[start:end]
        return found


def _bands(widths: tuple[int, ...], max_distance: int) -> Iterator[_Band]:
    """The bands to look up in, each with what to XOR to its value: all numbers of so few bits.

    By the pigeonhole principle: max_distance + 1 units are dealt out to the bands. A hash that differs in at
    least as many bits of each band as that has units differs in more than max_distance; so any other one
    differs in fewer in some band: in none where that has one unit, in at most one where it has two.
    """
    each, more = divmod(max_distance + 1, len(widths))
    shift = 0
    for number, width in enumerate(widths):
        units = each + (number < more)
        if units:
            yield _Band(shift, width, tuple(_numbers(width, most_bits=units - 1)))
        shift += width


def _numbers(width: int, most_bits: int) -> Iterator[int]:
    """All numbers of `width` bits of which at most so many are set."""
    for bits in range(most_bits + 1):
        for chosen in combinations(range(width), bits):
            yield sum(1 << bit for bit in chosen)


def _table(band: _Band, hashes: list[int]) -> _Table:
    """Sort positions by value, by counting: hardly more memory on the way than the table takes."""
    values = array("I", map(band.of, hashes))
    counts = [0] * ((1 << band.width) + 1)
    for value in values:
        counts[value + 1] += 1
    starts = array("I", accumulate(counts))
    free = array("I", starts)
    positions = array("I", bytes(4 * len(values)))
    for position, value in enumerate(values):
        slot = free[value]
        positions[slot] = position
        free[value] = slot + 1
    return _Table(band, starts, positions)
