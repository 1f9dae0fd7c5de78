"""The cache keeps to its limits, and forgets what it is told to."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ostiary_gateway.reuse.cache import CacheLimits, ObservationCache

AT = datetime(2026, 11, 25, tzinfo=UTC)
LIMITS = CacheLimits(entries=4, bytes=8_000, seconds=10.0, uses=3)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def cache(clock: Clock, limits: CacheLimits = LIMITS) -> ObservationCache:
    return ObservationCache(limits, clock)


def test_what_was_kept_is_there_until_it_is_too_old() -> None:
    """An entry lives for so many seconds, however often it is used."""
    clock = Clock()
    kept = cache(clock)
    kept.put(b"k", "t", "check", b"seen", AT)
    clock.now = 9.9
    assert (entry := kept.get(b"k"))
    assert (entry.check_id, entry.observations, entry.decided_at) == ("check", b"seen", AT)
    clock.now = 10.0
    assert kept.get(b"k") is None
    assert (len(kept), kept.size) == (0, 0)


def test_one_look_serves_so_many_checks() -> None:
    """Then a pod looks again."""
    kept = cache(Clock())
    kept.put(b"k", "t", "check", b"seen", AT)
    for number in range(3):
        assert kept.get(b"k")
        kept.use(b"k", f"later-{number}")
    assert kept.get(b"k") is None


def test_the_longest_unused_goes_first() -> None:
    """Entries are dropped beyond their number."""
    kept = cache(Clock())
    for key in b"abcd":
        kept.put(bytes([key]), "t", chr(key), b"", AT)
    assert kept.get(b"a")
    kept.put(b"e", "t", "e", b"", AT)
    assert [bool(kept.get(bytes([key]))) for key in b"abcde"] == [True, False, True, True, True]


def test_bytes_are_bounded() -> None:
    """Large observations push out others, and what is larger than the whole cache is not kept."""
    kept = cache(Clock())
    kept.put(b"a", "t", "a", bytes(3_000), AT)
    kept.put(b"b", "t", "b", bytes(5_000), AT)
    assert kept.get(b"a") is None
    kept.put(b"c", "t", "c", bytes(8_000), AT)
    assert kept.get(b"c") is None
    assert kept.get(b"b")


def test_erasing_a_check_purges_what_it_saw_and_what_it_took_over() -> None:
    """By the check that was looked at, and by any that used its observations; not by another tenant."""
    for erased in ("check", "later"):
        kept = cache(Clock())
        kept.put(b"k", "t", "check", b"seen", AT)
        kept.use(b"k", "later")
        assert not kept.purge("u", erased)
        assert kept.purge("t", erased)
        assert kept.get(b"k") is None
        assert not kept.purge("t", "check")
        assert not kept.purge("t", "later")


KEYS = st.sampled_from([bytes([key]) for key in b"abcdefg"])
CHECKS = st.sampled_from([f"check-{number}" for number in range(9)])


class Bounded(RuleBasedStateMachine):
    """Whatever is asked of it in whatever order, the limits hold and the books balance."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.cache = cache(self.clock)
        self.number = 0

    @rule(key=KEYS, size=st.integers(0, 9_000))
    def put(self, key: bytes, size: int) -> None:
        self.number += 1
        self.cache.put(key, "t", f"looked-{self.number}", bytes(size), AT)

    @rule(key=KEYS)
    def take(self, key: bytes) -> None:
        if self.cache.get(key):
            self.number += 1
            self.cache.use(key, f"used-{self.number}")

    @rule(number=st.integers(0, 40), kind=st.sampled_from(["looked", "used"]))
    def purge(self, number: int, kind: str) -> None:
        self.cache.purge("t", f"{kind}-{number}")
        assert not self.cache.purge("t", f"{kind}-{number}")

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def bounded(self) -> None:
        entries = self.cache._entries
        assert len(entries) <= LIMITS.entries
        assert self.cache.size == sum(entry.size for entry in entries.values()) <= LIMITS.bytes
        checks = {("t", each) for entry in entries.values() for each in (entry.check_id, *entry.used_by)}
        assert self.cache._keys.keys() == checks


TestBounded = Bounded.TestCase
