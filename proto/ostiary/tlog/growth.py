"""A tree that only grows: its root, and each tile hash as it becomes final."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ostiary.tlog.merkle import EMPTY_ROOT, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT


@dataclass(frozen=True)
class Node:
    """A hash of a tile: RFC 6962 MTH over the 256**level leaves from index * 256**level on."""

    level: int
    index: int
    hash: bytes


@dataclass
class GrowingTree:
    """The right edge of an RFC 6962 tree: one hash per complete subtree, the largest first."""

    size: int = 0
    edge: list[bytes] = field(default_factory=list)

    @classmethod
    def from_tiles(cls, levels: Iterable[Iterable[bytes]]) -> "GrowingTree":
        """The tree whose rightmost, partial tiles hold these hashes; level 0 first."""
        tree = cls()
        for level, hashes in reversed(list(enumerate(levels))):
            for digest in hashes:
                tree._push(digest, TILE_HEIGHT * level)
        return tree

    def copy(self) -> "GrowingTree":
        """A tree that grows on its own from here."""
        return GrowingTree(self.size, list(self.edge))

    def append(self, leaf: bytes) -> list[Node]:
        """Add a leaf hash; the tile hashes of level 1 and up that it completes, lowest level first."""
        return self._push(leaf, 0)

    def _push(self, digest: bytes, height: int) -> list[Node]:
        """Add a complete subtree of 2**height leaves; the tree's size must be a multiple of that."""
        position, done = self.size >> height, []
        self.size += 1 << height
        while position & 1:
            digest = node_hash(self.edge.pop(), digest)
            position, height = position >> 1, height + 1
            if height % TILE_HEIGHT == 0:
                done.append(Node(height // TILE_HEIGHT, position, digest))
        self.edge.append(digest)
        return done

    def root(self) -> bytes:
        """RFC 6962 §2.1: the Merkle Tree Hash of all leaves so far."""
        if not self.edge:
            return EMPTY_ROOT
        root = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            root = node_hash(left, root)
        return root
