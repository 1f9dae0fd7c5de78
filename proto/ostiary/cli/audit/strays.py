"""Finds what a published log should not hold."""

import os
from collections.abc import Iterator
from pathlib import Path

from ostiary.cli.audit.problem import Tampered
from ostiary.cli.audit.walk import LogWalk
from ostiary.tlog.growth import TILE_WIDTH
from ostiary.tlog.tiles import CHECKPOINT, ENTRIES, Tile, decode_bundle, encode_bundle, levels, tile_at


def strays(walk: LogWalk, size: int) -> Iterator[str]:
    """Paths of files that no log of `size` entries has.

    Partial tiles that the log has outgrown may stay; Tampered is raised where one is not a beginning of what
    the log holds now. Those that the log needs were checked by the walk.
    """
    for file in _files(walk.root):
        if file == CHECKPOINT:
            continue
        tile = Tile.parse(file)
        now = None if tile is None else _now(tile, size)
        if tile is None or now is None or tile.width > now.width:
            yield file
        elif tile.width < now.width and not _begins(walk, tile, now):
            raise Tampered(f"{file} is not a beginning of {now.path}", tile.index * TILE_WIDTH)


def _files(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        # The walk does not follow links to folders: they are strays themselves.
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted([*names, *links]):
            yield Path(folder, name).relative_to(root).as_posix()


def _now(tile: Tile, size: int) -> Tile | None:
    """The tile as a log of `size` has it; None where it has no such tile."""
    if tile.level >= levels(size):
        return None
    now = tile_at(size, tile.level, tile.index)
    return now if now.width > 0 else None


def _begins(walk: LogWalk, tile: Tile, now: Tile) -> bool:
    old, new = walk.read(tile), walk.read(now)
    if tile.level != ENTRIES:
        return old == new[: len(old)] and len(old) * now.width == len(new) * tile.width
    try:
        return old == encode_bundle(decode_bundle(new)[: tile.width])
    except ValueError:
        return False
