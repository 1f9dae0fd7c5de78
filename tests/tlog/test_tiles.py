"""Tile paths and bundles, against the examples of c2sp.org/tlog-tiles."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.tlog.tiles import ENTRIES, Tile, decode_bundle, encode_bundle, index_path, levels, tiles_since

TILES = st.builds(Tile, st.integers(ENTRIES, 63), st.integers(0, 10**12), st.integers(1, 256))


@pytest.mark.parametrize(
    ("index", "path"),
    [(0, "000"), (7, "007"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")],
)
def test_index_paths(index: int, path: str) -> None:
    """The specification's example, and the edges of a path element."""
    assert index_path(index) == path


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(2, 0, 1), "tile/2/000.p/1"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(ENTRIES, 1234067, 8), "tile/entries/x001/x234/067.p/8"),
    ],
    ids=["full", "one", "partial", "bundle"],
)
def test_tile_paths(tile: Tile, path: str) -> None:
    """Full and partial tiles, and entry bundles."""
    assert tile.path == path


@settings(deadline=None)
@given(TILES)
def test_paths_are_read_back(tile: Tile) -> None:
    """A path names one tile, and the tile has that path."""
    assert Tile.parse(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0/1",
        "tile/00/001",
        "tile/64/001",
        "tile/0/x000/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/07",
        "tile/0/001.p/300",
        "tile/0/001/",
        "tile/data/001",
        "tile/0/٠٠١",
    ],
)
def test_other_paths(path: str) -> None:
    """What is spelt in another way is not a tile."""
    assert Tile.parse(path) is None


def test_published_example() -> None:
    """The specification's tree of 70,000: 273 full tiles and one of 112; one and one of 17; one of 1."""
    tiles = list(tiles_since(0, 70_000))
    expected = [
        *(Tile(level, index) for level in (ENTRIES, 0) for index in range(273)),
        *(Tile(level, 273, 112) for level in (ENTRIES, 0)),
        *(Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)),
    ]
    assert sorted(tiles) == sorted(expected)
    assert levels(70_000) == 3


def test_a_full_tile_starts_the_level_above() -> None:
    """The specification: a tree of 256 is a full tile and a partial one of width 1 at level 1."""
    assert list(tiles_since(0, 256)) == [Tile(ENTRIES, 0), Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_since(0, 0)) == []


@settings(deadline=None)
@given(st.integers(0, 140_000), st.integers(0, 3_000))
def test_growing_writes_what_changed(old: int, more: int) -> None:
    """What an earlier tree had, with what is new, is all that the later tree has."""
    new = old + more
    assert set(tiles_since(0, new)) <= set(tiles_since(0, old)) | set(tiles_since(old, new))
    assert not set(tiles_since(0, old)) & set(tiles_since(old, new))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles(entries: list[bytes]) -> None:
    """What goes into a bundle comes out of it."""
    assert decode_bundle(encode_bundle(entries)) == entries


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=20), st.data())
def test_cut_bundles(entries: list[bytes], data: st.DataObject) -> None:
    """A bundle cut inside an entry is refused; one cut between entries holds fewer."""
    lengths = list(itertools.accumulate(2 + len(entry) for entry in entries))
    whole = encode_bundle(entries)
    cut = data.draw(st.integers(1, len(whole)))
    if cut in lengths:
        assert decode_bundle(whole[:cut]) == entries[: lengths.index(cut) + 1]
        return
    with pytest.raises(ValueError, match="inside an entry"):
        decode_bundle(whole[:cut])


def test_entries_have_a_limit() -> None:
    """A length has sixteen bits."""
    assert decode_bundle(encode_bundle([b"x" * 65_535])) == [b"x" * 65_535]
    with pytest.raises(ValueError, match="at most 65535"):
        encode_bundle([b"x" * 65_536])
