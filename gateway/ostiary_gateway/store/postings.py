"""Which cases of a block have a term: positions in the block, as bytes and as the bits of a number. Pure."""

import struct
from collections.abc import Collection, Iterable

BLOCK = 4096
"""Entries of the log that make a block. What is stored depends on it."""

_BITMAP_BYTES = BLOCK // 8
# So few positions are listed, two bytes each; of more, a bit tells for every position of the block.
_MOST_LISTED = 96


def encode(positions: Collection[int]) -> bytes:
    """Distinct positions, each from 0 to before `BLOCK`."""
    if len(positions) <= _MOST_LISTED:
        return struct.pack(f"<{len(positions)}H", *sorted(positions))
    return _bitmap(positions)


def decode(data: bytes) -> int:
    """A number with a bit set for each position."""
    bitmap = data if len(data) == _BITMAP_BYTES else _bitmap(struct.unpack(f"<{len(data) // 2}H", data))
    return int.from_bytes(bitmap, "little")


def without(data: bytes, position: int) -> bytes:
    """The same but for a position; nothing where none is left."""
    left = decode(data) & ~(1 << position)
    return encode(positions_of(left))


def positions_of(bits: int) -> list[int]:
    """The positions whose bits are set, in order."""
    found = []
    while bits:
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return found


def _bitmap(positions: Iterable[int]) -> bytes:
    bitmap = bytearray(_BITMAP_BYTES)
    for position in positions:
        bitmap[position >> 3] |= 1 << (position & 7)
    return bytes(bitmap)
