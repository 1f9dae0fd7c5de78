"""Proofs of RFC 6962 from a log's tiles: a few tiles are read, however long the log is."""

from collections.abc import Callable

from ostiary.tlog.growth import TILE_HEIGHT
from ostiary.tlog.merkle import node_hash, root_hash

# The tile hashes at `level` from index `start` to before `stop`, which never cross a tile's end.
ReadHashes = Callable[[int, int, int], list[bytes]]


class TiledTree:
    """The first `size` leaves of a log whose tiles can be read. Methods raise what reading raises."""

    def __init__(self, size: int, read: ReadHashes) -> None:
        self._size = size
        self._read = read

    def root(self) -> bytes:
        """RFC 6962 §2.1: the Merkle Tree Hash of all leaves; there must be one."""
        return self._hash(0, self._size)

    def leaf(self, index: int) -> bytes:
        """The hash of a leaf."""
        return self._hash(index, index + 1)

    def inclusion(self, index: int) -> list[bytes]:
        """RFC 6962 §2.1.1: PATH(m, D[n]), from the leaf upwards.

        Raises ValueError where the tree has no leaf of that index.
        """
        if not 0 <= index < self._size:
            raise ValueError(f"a tree of {self._size} has no leaf {index}")
        start, stop, path = 0, self._size, list[bytes]()
        while stop - start > 1:
            middle = start + _split(stop - start)
            if index < middle:
                path.append(self._hash(middle, stop))
                stop = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old_size: int) -> list[bytes]:
        """RFC 6962 §2.1.2: PROOF(m, D[n]); empty where the sizes are equal.

        Raises ValueError where `old_size` is not between 1 and the tree's size.
        """
        if not 1 <= old_size <= self._size:
            raise ValueError(f"a tree of {self._size} extends no tree of {old_size}")
        start, stop, path = 0, self._size, list[bytes]()
        while stop != old_size:
            middle = start + _split(stop - start)
            if old_size <= middle:
                path.append(self._hash(middle, stop))
                stop = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        # The old tree's own root is known to whoever asks; a part of it is not.
        return [*([self._hash(start, stop)] if start else []), *path[::-1]]

    def _hash(self, start: int, stop: int) -> bytes:
        """The hash over leaves from `start` to before `stop`, which must be a subtree of the tree."""
        count = stop - start
        if count & (count - 1):
            middle = start + _split(count)
            return node_hash(self._hash(start, middle), self._hash(middle, stop))
        level, height = divmod(count.bit_length() - 1, TILE_HEIGHT)
        first = start >> (TILE_HEIGHT * level)
        return root_hash(self._read(level, first, first + (1 << height)))


def _split(size: int) -> int:
    """RFC 6962 §2.1: the largest power of two smaller than `size` (> 1)."""
    return 1 << (size - 1).bit_length() - 1
