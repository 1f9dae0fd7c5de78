"""Tiles and entry bundles of C2SP (c2sp.org/tlog-tiles): which files a log has, and what is in them."""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ostiary.tlog.growth import TILE_HEIGHT, TILE_WIDTH

CHECKPOINT = "checkpoint"
MAX_ENTRY_BYTES = 0xFFFF
ENTRIES = -1  # the level that stands for entry bundles, which are indexed as level 0 is

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, order=True)
class Tile:
    """One file: `width` (1 to 256) hashes of tile `index` at `level`; entries where `level` is ENTRIES."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Path below the log's folder: `tile/<level>/<index>[.p/<width>]`."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{index_path(self.index)}{partial}"

    @classmethod
    def parse(cls, path: str) -> "Tile | None":
        """The tile that a path names; None where it names none, or not in its one spelling."""
        match = _PATH.fullmatch(path)
        if not match:
            return None
        level = ENTRIES if match["level"] == "entries" else int(match["level"])
        index = int(match["index"].replace("x", "").replace("/", ""))
        tile = cls(level, index, int(match["width"] or TILE_WIDTH))
        return tile if tile.path == path and level <= 63 and tile.width <= TILE_WIDTH else None


def index_path(index: int) -> str:
    """c2sp.org/tlog-tiles: three digits per element, all but the last behind an x: x001/x234/067."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def hashes_at(size: int, level: int) -> int:
    """How many hashes the tiles of `level` hold in a tree of `size`: floor(size / 256**level)."""
    return size >> (TILE_HEIGHT * level)


def tile_at(size: int, level: int, index: int) -> Tile:
    """The tile `index` of `level` as a tree of `size` has it."""
    width = min(TILE_WIDTH, hashes_at(size, max(level, 0)) - index * TILE_WIDTH)
    return Tile(level, index, width)


def levels(size: int) -> int:
    """How many tile levels a tree of `size` has."""
    return -(-size.bit_length() // TILE_HEIGHT)


def tiles_since(old_size: int, size: int) -> Iterator[Tile]:
    """Every tile and bundle that a tree of `size` has and one of `old_size` did not have as it is now.

    Bundles first, then tiles from the lowest level up.
    """
    for level in (ENTRIES, *range(levels(size))):
        first = hashes_at(old_size, max(level, 0)) // TILE_WIDTH
        last = -(-hashes_at(size, max(level, 0)) // TILE_WIDTH)
        for index in range(first, last):
            tile = tile_at(size, level, index)
            if tile_at(old_size, level, index) != tile:
                yield tile


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each behind its length as a big-endian uint16. Raises ValueError over 65,535 bytes each."""
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise ValueError(f"an entry is at most {MAX_ENTRY_BYTES} bytes")
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises ValueError where the bytes do not add up."""
    entries, at = [], 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data) or start > len(data):
            raise ValueError("the bundle ends inside an entry")
        entries.append(data[start:at])
    return entries
