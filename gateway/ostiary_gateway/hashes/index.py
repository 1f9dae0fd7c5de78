"""Which of many hashes of 256 bits are within a Hamming distance of one.

Multi-index hashing (Norouzi, Punjani, Fleet: "Fast Exact Search in Hamming Space With Multi-Index Hashing",
IEEE TPAMI 36(6), 2014): the hash is cut into 16 bands of 16 bits, and each band is a table from its value to
the hashes that have it. A hash within the distance is found in one of the tables, at the band's own value or
one bit from it; what the tables give is compared in full. For a distance of 31 that is 16 × 17 look-ups, and
0.4 % of evenly spread hashes to compare; for 0, as SHA-256 needs, it is one look-up in one table.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain

HASH_BYTES = 32
MOST_DISTANT = 31
"""Largest distance that an index can be made for: beyond it, bands can differ in two bits each."""

_BANDS = 16
_BAND_BITS = 16
_VALUES = 1 << _BAND_BITS
_SCANNED = 1024  # so few hashes are compared one by one, in a sixth of a millisecond, without any table
_FLIPS = (0, *(1 << bit for bit in range(_BAND_BITS)))


@dataclass(frozen=True, slots=True)
class Near:
    """A hash within the distance: its distance in bits, and its position in what the index was made of."""

    distance: int
    position: int


@dataclass(frozen=True, slots=True)
class _Table:
    """One band's table: positions of all hashes, by value of the band; those of value v from starts[v] on.

    `column`: which band it is. `flips`: what is XORed to a value to get those to look up.
    """

    column: int
    flips: tuple[int, ...]
    starts: "array[int]"
    positions: "array[int]"

    def buckets(self, value: int) -> Iterator["array[int]"]:
        for flip in self.flips:
            near = value ^ flip
            yield self.positions[self.starts[near] : self.starts[near + 1]]


class HashIndex:
    """Finds hashes by distance. Takes 72 bytes for a hash, 4 for each of its tables, 4.2 MB for 16 tables."""

    def __init__(self, hashes: bytes | bytearray, max_distance: int) -> None:
        """Make the index of `hashes`, 32 bytes each without anything between them.

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
        self._tables = _tables(hashes, max_distance) if len(self._hashes) > _SCANNED else ()

    def __len__(self) -> int:
        """How many hashes there are."""
        return len(self._hashes)

    def hash_at(self, position: int) -> bytes:
        """The hash at a position, 32 bytes."""
        return self._hashes[position].to_bytes(HASH_BYTES)

    def within(self, hash: bytes) -> list[Near]:  # noqa: A002 - the field's own term
        """All hashes within the distance of `hash` (32 bytes), the nearest first, then by position."""
        hashes, wanted, most = self._hashes, int.from_bytes(hash), self.max_distance
        found = {at for at in self._candidates(hash) if (hashes[at] ^ wanted).bit_count() <= most}
        near = [Near((hashes[at] ^ wanted).bit_count(), at) for at in found]
        return sorted(near, key=lambda one: (one.distance, one.position))

    def _candidates(self, hash: bytes) -> Iterable[int]:  # noqa: A002
        if not self._tables:
            return range(len(self._hashes))
        bands = array("H", hash)
        buckets = (table.buckets(bands[table.column]) for table in self._tables)
        return chain.from_iterable(chain.from_iterable(buckets))


def _flips_of_bands(max_distance: int) -> Iterator[tuple[int, ...]]:
    """What to XOR to each band: itself, and at a distance of its own, its neighbours.

    By the pigeonhole principle: max_distance + 1 units are dealt out to the bands. A hash that differs in at
    least as many bits of each band as that has units differs in more than max_distance; so any other one
    differs in fewer in some band: in none where that has one unit, in at most one where it has two.
    """
    each, more = divmod(max_distance + 1, _BANDS)
    for band in range(_BANDS):
        units = each + (band < more)
        yield _FLIPS if units == 2 else (0,) if units == 1 else ()


def _tables(hashes: bytes | bytearray, max_distance: int) -> tuple[_Table, ...]:
    bands = array("H")
    bands.frombytes(hashes)
    return tuple(
        _table(column, flips, bands[column::_BANDS])
        for column, flips in enumerate(_flips_of_bands(max_distance))
        if flips
    )


def _table(column: int, flips: tuple[int, ...], values: "array[int]") -> _Table:
    """Sort positions by value, by counting: no more memory on the way than the table takes."""
    counts = [0] * (_VALUES + 1)
    for value in values:
        counts[value + 1] += 1
    starts = array("I", accumulate(counts))
    free = starts.tolist()
    positions = array("I", bytes(4 * len(values)))
    for position, value in enumerate(values):
        slot = free[value]
        positions[slot] = position
        free[value] = slot + 1
    return _Table(column, flips, starts, positions)
