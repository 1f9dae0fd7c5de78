"""The index finds what comparing all hashes one by one finds."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary_gateway.hashes.index import HashIndex, Near


def brute_force(hashes: list[bytes], wanted: bytes, max_distance: int) -> list[Near]:
    """Every hash compared, the nearest first."""
    value = int.from_bytes(wanted)
    near = [Near((int.from_bytes(each) ^ value).bit_count(), at) for at, each in enumerate(hashes)]
    found = [one for one in near if one.distance <= max_distance]
    return sorted(found, key=lambda one: (one.distance, one.position))


def flipped(rng: random.Random, original: bytes, bits: int) -> bytes:
    """`original` with so many of its bits changed."""
    value = int.from_bytes(original)
    for bit in rng.sample(range(256), bits):
        value ^= 1 << bit
    return value.to_bytes(32)


WAYS = {
    "narrow bands": {"scanned": 0, "many": 1_000_000},
    "wide bands": {"scanned": 0, "many": 0},
    "one by one": {"scanned": 1_000_000, "many": 1_000_000},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("max_distance", [0, 1, 12, 15, 16, 26, 31])
def test_neighbours_at_any_distance_are_found(max_distance: int, way: dict[str, int]) -> None:
    """Of copies with 0 to 40 bits changed, those within the distance and no others, the nearest first."""
    rng = random.Random(max_distance)
    original = rng.randbytes(32)
    hashes = [flipped(rng, original, bits) for bits in range(41)] + [rng.randbytes(32) for _ in range(200)]
    rng.shuffle(hashes)
    found = HashIndex(b"".join(hashes), max_distance, **way).within(original)
    assert found == brute_force(hashes, original, max_distance)
    assert [near.distance for near in found] == list(range(max_distance + 1))


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[bytes], bytes, int]:
    """Hashes that crowd around a few, one to look for, and a distance."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    centres = [rng.randbytes(32) for _ in range(draw(st.integers(1, 3)))]
    count = draw(st.integers(0, 60))
    hashes = [flipped(rng, rng.choice(centres), rng.randrange(50)) for _ in range(count)]
    return hashes, flipped(rng, rng.choice(centres), rng.randrange(20)), draw(st.integers(0, 31))


# Sixteen tables take a tenth of a second to make, so that few examples do.
@settings(max_examples=10, deadline=None)
@given(crowds())
def test_tables_equal_brute_force(crowd: tuple[list[bytes], bytes, int]) -> None:
    """Whatever the hashes, and whatever the distance."""
    hashes, wanted, max_distance = crowd
    index = HashIndex(b"".join(hashes), max_distance, scanned=0)
    assert index.within(wanted) == brute_force(hashes, wanted, max_distance)


def test_bits_all_in_one_band_are_found() -> None:
    """16 of 16 bits of one band, and one of each of the others: 31, the farthest that a look-up reaches."""
    wanted = bytes(32)
    worst = int("ffff" + "0001" * 15, 16).to_bytes(32)
    filler = b"".join(random.Random(1).randbytes(32) for _ in range(1500))
    assert HashIndex(filler + worst, 31).within(wanted) == [Near(31, 1500)]


def test_positions_give_the_hashes_back() -> None:
    """An index keeps what it was made of, in order."""
    hashes = [bytes([number]) * 32 for number in range(5)]
    index = HashIndex(bytearray(b"".join(hashes)), 31)
    assert len(index) == 5
    assert [index.hash_at(position) for position in range(5)] == hashes


def test_the_same_hash_twice_is_found_twice() -> None:
    """Two entries may be of one image: for two sellers, for instance."""
    assert HashIndex(bytes(64), 0).within(bytes(32)) == [Near(0, 0), Near(0, 1)]


@pytest.mark.parametrize(
    ("hashes", "distance", "words"),
    [(bytes(33), 0, "33 bytes"), (bytes(32), 32, "0 to 31"), (bytes(32), -1, "0 to 31")],
    ids=["half a hash", "too far", "below zero"],
)
def test_what_cannot_be_indexed_is_refused(hashes: bytes, distance: int, words: str) -> None:
    """Hashes are 32 bytes, and bands of 16 bits reach as far as 31."""
    with pytest.raises(ValueError, match=words):
        HashIndex(hashes, distance)
