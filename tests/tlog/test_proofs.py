"""Proofs made from tiles, against those that RFC 6962's own recursion makes from all leaves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.tlog.growth import TILE_WIDTH, GrowingTree
from ostiary.tlog.merkle import consistency_proof, inclusion_proof, leaf_hash, root_hash
from ostiary.tlog.proofs import TiledTree

LEAVES = [leaf_hash(str(index).encode()) for index in range(70_000)]


@pytest.fixture(scope="module")
def tiles() -> dict[int, list[bytes]]:
    """The hashes of each tile level of a log with 70,000 entries."""
    tree, levels = GrowingTree(), {0: LEAVES}
    for leaf in LEAVES:
        for node in tree.append(leaf):
            levels.setdefault(node.level, []).append(node.hash)
    return levels


def tree(tiles: dict[int, list[bytes]], size: int, asked: list[int] | None = None) -> TiledTree:
    def read(level: int, start: int, stop: int) -> list[bytes]:
        assert start // TILE_WIDTH == (stop - 1) // TILE_WIDTH, "it crosses a tile's end"
        if asked is not None:
            asked.append(stop - start)
        return tiles[level][start:stop]

    return TiledTree(size, read)


SIZES = st.one_of(st.integers(1, 1200), st.sampled_from([256, 257, 511, 512, 65_536, 65_537, 65_793, 70_000]))


@settings(deadline=None, max_examples=60)
@given(SIZES, st.data())
def test_inclusion(tiles: dict[int, list[bytes]], size: int, data: st.DataObject) -> None:
    """Any leaf of any tree, an earlier one than the tiles are of too."""
    index = data.draw(st.integers(0, size - 1))
    made = tree(tiles, size)
    assert made.inclusion(index) == inclusion_proof(LEAVES[:size], index)
    assert (made.root(), made.leaf(index)) == (root_hash(LEAVES[:size]), LEAVES[index])


@settings(deadline=None, max_examples=60)
@given(SIZES, st.data())
def test_consistency(tiles: dict[int, list[bytes]], size: int, data: st.DataObject) -> None:
    """Any earlier tree with any later one."""
    old = data.draw(st.integers(1, size))
    assert tree(tiles, size).consistency(old) == consistency_proof(LEAVES[:size], old)


@pytest.mark.parametrize("index", [-1, 300])
def test_no_such_leaf(tiles: dict[int, list[bytes]], index: int) -> None:
    """A leaf behind the end has no proof."""
    with pytest.raises(ValueError, match="has no leaf"):
        tree(tiles, 300).inclusion(index)


@pytest.mark.parametrize("old", [0, 301])
def test_no_such_tree(tiles: dict[int, list[bytes]], old: int) -> None:
    """Nothing extends a longer tree, and the empty one needs no proof."""
    with pytest.raises(ValueError, match="extends no tree"):
        tree(tiles, 300).consistency(old)


def test_little_is_read(tiles: dict[int, list[bytes]]) -> None:
    """A proof over 70,000 entries takes a few tiles' worth of hashes."""
    asked: list[int] = []
    tree(tiles, 70_000, asked).inclusion(31_337)
    assert sum(asked) < 6 * TILE_WIDTH
