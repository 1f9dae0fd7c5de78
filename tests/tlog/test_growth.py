"""A growing tree has the roots of RFC 6962 and hands out the hashes that tiles need."""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.tlog.growth import TILE_WIDTH, GrowingTree
from ostiary.tlog.merkle import EMPTY_ROOT, leaf_hash, root_hash
from ostiary.tlog.tiles import hashes_at, levels

LEAVES = [leaf_hash(i.to_bytes(4, "big")) for i in range(1100)]


@cache
def large() -> tuple[GrowingTree, dict[int, list[bytes]]]:
    """A tree of 70,000 leaves, with its tile hashes by level."""
    tree, by_level = GrowingTree(), dict[int, list[bytes]]()
    for i in range(70_000):
        leaf = leaf_hash(i.to_bytes(4, "big"))
        by_level.setdefault(0, []).append(leaf)
        for node in tree.append(leaf):
            assert node.index == len(by_level.setdefault(node.level, []))
            by_level[node.level].append(node.hash)
    return tree, by_level


def test_roots() -> None:
    """After each leaf, the root is the one computed from all leaves."""
    tree = GrowingTree()
    assert tree.root() == EMPTY_ROOT
    for size, leaf in enumerate(LEAVES[:300], 1):
        tree.append(leaf)
        assert (tree.size, tree.root()) == (size, root_hash(LEAVES[:size]))


def test_tile_hashes_are_subtree_roots() -> None:
    """A tree of 70,000 has 273 hashes at level 1 and one at level 2, each over 256 below."""
    tree, by_level = large()
    assert [len(by_level[level]) for level in sorted(by_level)] == [70_000, 273, 1]
    for level in (1, 2):
        for index, digest in enumerate(by_level[level]):
            below = by_level[level - 1][index * TILE_WIDTH : (index + 1) * TILE_WIDTH]
            assert digest == root_hash(below)
    assert tree.root() == root_hash(by_level[0])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 70_000))
def test_a_tree_is_restored_from_its_partial_tiles(size: int) -> None:
    """The rightmost tiles are all that is needed to go on."""
    _, by_level = large()
    ends = [hashes_at(size, level) for level in range(levels(size))]
    partial = [by_level[level][end - end % TILE_WIDTH : end] for level, end in enumerate(ends)]
    tree = GrowingTree.from_tiles(partial)
    assert (tree.size, tree.root()) == (size, root_hash(by_level[0][:size]))


def test_a_copy_grows_alone() -> None:
    """A batch that fails must leave the tree as it was."""
    tree = GrowingTree()
    for leaf in LEAVES[:5]:
        tree.append(leaf)
    grown = tree.copy()
    grown.append(LEAVES[5])
    assert (tree.size, tree.root()) == (5, root_hash(LEAVES[:5]))
    assert grown.root() == root_hash(LEAVES[:6])
