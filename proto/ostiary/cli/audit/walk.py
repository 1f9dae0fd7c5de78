"""Walks a published log from its first entry: every entry against every tile that covers it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ostiary.cli.audit.problem import Tampered
from ostiary.tlog.checkpoint import Checkpoint, open_checkpoint
from ostiary.tlog.entry import Entry
from ostiary.tlog.growth import TILE_HEIGHT, TILE_WIDTH, GrowingTree, Node
from ostiary.tlog.merkle import HASH_BYTES, leaf_hash
from ostiary.tlog.note import VerifierKey
from ostiary.tlog.tiles import CHECKPOINT, ENTRIES, Tile, decode_bundle, tile_at


@dataclass(slots=True)
class Step:
    """One entry, just added to the tree that the walk recomputes; `nodes` are tile hashes it completed."""

    index: int
    data: bytes
    entry: Entry
    leaf_hash: bytes
    nodes: list[Node]
    tree: GrowingTree


class LogWalk:
    """Recomputes a log's tree in memory of its height; knows nothing that the files have not shown."""

    def __init__(self, root: Path, key: VerifierKey) -> None:
        """`root` is the published folder, `key` the one that the auditor trusts."""
        self.root = root
        self._key = key
        self.tree = GrowingTree()
        self._partial: list[list[bytes]] = [[]]  # per level, the hashes of its rightmost tile so far

    def head(self) -> tuple[Checkpoint, str] | None:
        """The published checkpoint, verified, and its note; None where there is none. Raises Tampered."""
        try:
            note = (self.root / CHECKPOINT).read_bytes().decode()
            return open_checkpoint(note, self._key), note
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Tampered(f"the checkpoint does not verify: {error}") from error

    def advance(self, head: Checkpoint) -> Iterator[Step]:
        """Walk on to the checkpoint, entry by entry. Raises Tampered at the first thing that does not fit."""
        if head.size < self.tree.size:
            raise Tampered(f"the log shrank from {self.tree.size} entries to {head.size}")
        while self.tree.size < head.size:
            yield from self._bundle(tile_at(head.size, ENTRIES, self.tree.size // TILE_WIDTH))
        for level, hashes in enumerate(self._partial):
            if hashes:
                self._check_tile(tile_at(head.size, level, self._done(level) // TILE_WIDTH), hashes)
        if self.tree.root() != head.root:
            raise Tampered(f"the {head.size} entries do not have the root that the checkpoint signs")

    def read(self, tile: Tile) -> bytes:
        """A tile's bytes; those of a partial tile are also found at the start of the full one."""
        try:
            return (self.root / tile.path).read_bytes()
        except FileNotFoundError:
            return self._read_full(tile)
        except OSError as error:
            raise Tampered(f"{tile.path} cannot be read: {error}") from error

    def _read_full(self, tile: Tile) -> bytes:
        try:
            data = (self.root / Tile(tile.level, tile.index).path).read_bytes()
            if tile.level == ENTRIES:
                return b"".join(
                    len(entry).to_bytes(2, "big") + entry for entry in decode_bundle(data)[: tile.width]
                )
            return data[: tile.width * HASH_BYTES]
        except (OSError, ValueError) as error:
            raise Tampered(f"{tile.path} is missing", self._first_entry(tile)) from error

    def _bundle(self, tile: Tile) -> Iterator[Step]:
        start = tile.index * TILE_WIDTH
        try:
            entries = decode_bundle(self.read(tile))
        except ValueError as error:
            raise Tampered(f"{tile.path}: {error}", start) from error
        if len(entries) != tile.width:
            raise Tampered(f"{tile.path} holds {len(entries)} entries instead of {tile.width}", start)
        hashes = [leaf_hash(entry) for entry in entries]
        self._compare(Tile(0, tile.index, tile.width), hashes)
        known = self.tree.size - start
        if hashes[:known] != self._partial[0]:
            raise Tampered(f"{tile.path} changed while it was being read", start)
        for index in range(self.tree.size, start + tile.width):
            data, digest = entries[index - start], hashes[index - start]
            yield Step(index, data, _decode(data, index), digest, self._grow(digest), self.tree)

    def _grow(self, digest: bytes) -> list[Node]:
        """Add a leaf hash, and check each tile that it fills."""
        nodes = self.tree.append(digest)
        self._add(0, digest)
        for node in nodes:
            self._add(node.level, node.hash)
        return nodes

    def _add(self, level: int, digest: bytes) -> None:
        if level == len(self._partial):
            self._partial.append([])
        hashes = self._partial[level]
        hashes.append(digest)
        if len(hashes) == TILE_WIDTH:
            self._check_tile(Tile(level, self._done(level) // TILE_WIDTH - 1), hashes)
            hashes.clear()

    def _done(self, level: int) -> int:
        """How many hashes of a level are final."""
        return self.tree.size >> (TILE_HEIGHT * level)

    def _check_tile(self, tile: Tile, hashes: list[bytes]) -> None:
        if tile.level > 0:  # level 0 was compared when its bundle was read
            self._compare(tile, hashes)

    def _compare(self, tile: Tile, hashes: list[bytes]) -> None:
        data = self.read(tile)
        if data == b"".join(hashes):
            return
        if len(data) != len(hashes) * HASH_BYTES:
            raise Tampered(
                f"{tile.path} has {len(data)} bytes instead of {len(hashes) * HASH_BYTES}",
                self._first_entry(tile),
            )
        at = next(i for i, digest in enumerate(hashes) if data[i * HASH_BYTES :][:HASH_BYTES] != digest)
        entry = (tile.index * TILE_WIDTH + at) << (TILE_HEIGHT * tile.level)
        raise Tampered(
            f"{tile.path} does not hold the hash of what the log holds from entry {entry} on", entry
        )

    @staticmethod
    def _first_entry(tile: Tile) -> int:
        return tile.index << TILE_HEIGHT * (max(tile.level, 0) + 1)


def _decode(data: bytes, index: int) -> Entry:
    try:
        return Entry.decode(data)
    except ValueError as error:
        raise Tampered(f"entry {index}: {error}", index) from error
