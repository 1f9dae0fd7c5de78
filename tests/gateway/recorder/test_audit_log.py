"""Whatever is changed in a published log, the audit says so."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ostiary.cli.audit.problem import Tampered
from ostiary.tlog.checkpoint import Checkpoint, sign_checkpoint
from ostiary.tlog.entry import Entry
from ostiary.tlog.growth import TILE_WIDTH, GrowingTree
from ostiary.tlog.keys import load_log_key
from ostiary.tlog.merkle import leaf_hash
from ostiary.tlog.tiles import ENTRIES, Tile, decode_bundle, encode_bundle, tiles_since
from ostiary_gateway.recorder import NewDecision


def log_files(home: Any) -> list[Path]:
    return sorted(path for path in home.log.rglob("*") if path.is_file())


def write_log(home: Any, entries: list[bytes], *, signed: bool = True) -> None:
    """Publish a log of these entries; signed with the log's own key, as only its keeper could."""
    tree, hashes = GrowingTree(), dict[int, list[bytes]]()
    for entry in entries:
        hashes.setdefault(0, []).append(leaf_hash(entry))
        for node in tree.append(leaf_hash(entry)):
            hashes.setdefault(node.level, []).append(node.hash)
    for tile in tiles_since(0, len(entries)):
        span = slice(tile.index * TILE_WIDTH, tile.index * TILE_WIDTH + tile.width)
        data = encode_bundle(entries[span]) if tile.level == ENTRIES else b"".join(hashes[tile.level][span])
        path = home.log / tile.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if signed:
        checkpoint = Checkpoint("ostiary.local/log", tree.size, tree.root())
        note = sign_checkpoint(checkpoint, load_log_key(home.gateway / "log.key"))
        (home.log / "checkpoint").write_text(note)


def published_entries(home: Any) -> list[bytes]:
    """The entries of a log of 20."""
    return decode_bundle((home.log / Tile(ENTRIES, 0, 20).path).read_bytes())


async def test_every_byte_of_a_log_counts(home: Any) -> None:
    """Change any byte of any file of the log in either of two ways: it is seen, with no store at hand."""
    await home.fill(3)
    checked = 0
    for path in log_files(home):
        whole = path.read_bytes()
        for at in range(len(whole)):
            for mask in (0x07, 0x20):  # 0x07 makes a carriage return of a newline, 0x20 changes case
                path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
                with pytest.raises(Tampered):
                    home.audit(with_store=False)
                checked += 1
        path.write_bytes(whole)
    assert home.audit().decisions == 3
    assert checked == 2 * sum(path.stat().st_size for path in log_files(home)) > 1000


async def test_bytes_of_a_larger_log_count(home: Any) -> None:
    """The same for full tiles, tiles of the next level and outgrown ones: a seeded choice from every file."""
    await home.fill(300)
    outgrown = home.log / Tile(0, 1, 20).path
    outgrown.write_bytes((home.log / Tile(0, 1, 44).path).read_bytes()[: 20 * 32])
    assert home.audit().decisions == 300
    chance = random.Random(7)
    for path in log_files(home):
        whole = path.read_bytes()
        for at in {0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(12))}:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :])
            with pytest.raises(Tampered):
                home.audit(with_store=False)
        path.write_bytes(whole)
    assert home.audit().decisions == 300


async def test_a_log_of_three_levels(home: Any) -> None:
    """Tiles of every level are held against the entries, and the first entry below a wrong hash is named."""
    time = datetime(2026, 11, 23, tzinfo=UTC)
    write_log(home, [Entry(time, number.to_bytes(32, "big")).encode() for number in range(66_000)])
    assert home.audit(with_store=False).checkpoint.size == 66_000
    for tile, position, entry in (
        (Tile(0, 256), 9, 65_545),
        (Tile(1, 0), 255, 65_280),
        (Tile(1, 1, 1), 0, 65_536),
        (Tile(2, 0, 1), 0, 0),
    ):
        path = home.log / tile.path
        whole = path.read_bytes()
        at = position * 32
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Tampered, match=f"{tile.path} does not hold the hash") as caught:
            home.audit(with_store=False)
        assert caught.value.entry == entry
        path.write_bytes(whole)


async def test_length_counts(home: Any) -> None:
    """Cut a byte off any file, add one, empty it, or take the file away."""
    await home.fill(300)
    for name in ("checkpoint", *(tile.path for tile in tiles_since(0, 300))):
        path = home.log / name
        whole = path.read_bytes()
        for data in (whole[:-1], whole + b"\0", b""):
            path.write_bytes(data)
            with pytest.raises(Tampered):
                home.audit(with_store=False)
        path.unlink()
        with pytest.raises(Tampered):
            home.audit()
        path.write_bytes(whole)
    assert home.audit().decisions == 300


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "tile/0/001",
        "tile/0/000.p/4",
        "tile/2/000.p/1",
        "tile/entries/000.p/9",
        "tile/0/x000/000",
    ],
)
async def test_strays(home: Any, name: str) -> None:
    """A file that a log of this size does not have is reported by its name."""
    await home.fill(3)
    (home.log / name).parent.mkdir(parents=True, exist_ok=True)
    (home.log / name).write_bytes(b"")
    with pytest.raises(Tampered, match=f"{name} does not belong"):
        home.audit()


async def test_the_entry_is_named(home: Any) -> None:
    """Changing one entry is reported with its number."""
    await home.fill(300)
    path = home.log / "tile/entries/001.p/44"
    entries = decode_bundle(path.read_bytes())
    entries[7] = Entry(Entry.decode(entries[7]).time, b"x" * 32).encode()
    path.write_bytes(encode_bundle(entries))
    with pytest.raises(Tampered) as caught:
        home.audit(with_store=False)
    assert caught.value.entry == 256 + 7


def drop_one(entries: list[bytes]) -> list[bytes]:
    return entries[:5] + entries[6:]


def swap_two(entries: list[bytes]) -> list[bytes]:
    return [*entries[:3], entries[4], entries[3], *entries[5:]]


def forge_one(entries: list[bytes]) -> list[bytes]:
    return [*entries[:3], Entry(Entry.decode(entries[3]).time, b"x" * 32).encode(), *entries[4:]]


def cut_off(entries: list[bytes]) -> list[bytes]:
    return entries[:-5]


def add_one(entries: list[bytes]) -> list[bytes]:
    return [*entries, Entry(Entry.decode(entries[-1]).time, b"x" * 32).encode()]


REWRITES = (drop_one, swap_two, forge_one, cut_off, add_one)


@pytest.mark.parametrize("rewrite", REWRITES)
async def test_rewritten_by_an_outsider(home: Any, rewrite: Callable[[list[bytes]], list[bytes]]) -> None:
    """Without the key, a consistent rewriting of every file fails at the signature."""
    await home.fill(20)
    rewritten = rewrite(published_entries(home))
    for path in log_files(home):
        if path.name != "checkpoint":
            path.unlink()
    write_log(home, rewritten, signed=False)
    with pytest.raises(Tampered):
        home.audit(with_store=False)


@pytest.mark.parametrize("rewrite", REWRITES)
async def test_rewritten_by_the_keeper(home: Any, rewrite: Callable[[list[bytes]], list[bytes]]) -> None:
    """Even with the key, a fork is seen by whoever has the store, or an earlier checkpoint."""
    await home.fill(20)
    earlier = home.audit().checkpoint
    rewritten = rewrite(published_entries(home))
    for path in log_files(home):
        path.unlink()
    write_log(home, rewritten)
    assert home.audit(with_store=False).checkpoint.size == len(rewritten)
    with pytest.raises(Tampered):
        home.audit()
    if rewrite is add_one:
        home.audit([earlier], with_store=False)
        return
    with pytest.raises(Tampered, match=r"history was rewritten|was cut short"):
        home.audit([earlier], with_store=False)


async def test_rolled_back(home: Any, decision: Callable[..., NewDecision]) -> None:
    """An old log with its old, honest checkpoint is behind the store, and behind what was trusted."""
    await home.fill(5)
    old = {path: path.read_bytes() for path in log_files(home)}
    async with home.open() as recorder:
        await recorder.record(decision(1000))
    newer = home.audit().checkpoint
    for path in log_files(home):
        path.unlink()
    for path, data in old.items():
        path.write_bytes(data)
    assert home.audit(with_store=False).checkpoint.size == 5
    with pytest.raises(Tampered, match="only 5 are published"):
        home.audit()
    with pytest.raises(Tampered, match="was cut short"):
        home.audit([newer], with_store=False)
