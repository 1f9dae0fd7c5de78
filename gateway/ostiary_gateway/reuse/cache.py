"""Observations that were recorded, by fingerprint: bounded in entries, bytes, age and uses."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

# What an entry takes beside its observations: objects, two keys, a place in each table; and a use likewise.
_ENTRY_BYTES = 1024
_USE_BYTES = 256


@dataclass(frozen=True)
class CacheLimits:
    """How much is kept, and for how long."""

    entries: int = 20_000
    """Most entries."""
    bytes: int = 64 * 1024 * 1024
    """Most bytes that they take together."""
    seconds: float = 3600.0
    """Age from which on an entry is worth nothing."""
    uses: int = 256
    """Checks that one look may serve before a pod looks again."""


@dataclass
class Entry:
    """What one check's pod saw.

    Attributes:
        tenant: whose check it was.
        check_id: the check that a pod looked at.
        observations: serialised Observations.
        decided_at: aware time of that check's decision.
        kept_at: monotonic seconds.
        used_by: checks that took it over.
    """

    tenant: str
    check_id: str
    observations: bytes
    decided_at: datetime
    kept_at: float
    used_by: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return _ENTRY_BYTES + len(self.observations) + _USE_BYTES * len(self.used_by)


class ObservationCache:
    """The entries, the longest unused first. For one event loop."""

    def __init__(self, limits: CacheLimits, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives monotonic seconds."""
        self._limits = limits
        self._clock = clock
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._keys: dict[tuple[str, str], bytes] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes that the entries take."""
        return self._size

    def get(self, key: bytes) -> Entry | None:
        """The entry, unless it is too old or has served enough; it then goes."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        worn = len(entry.used_by) >= self._limits.uses
        if worn or self._clock() - entry.kept_at >= self._limits.seconds:
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, tenant: str, check_id: str, observations: bytes, decided_at: datetime) -> None:
        """Keep what was seen, in place of what the key held; what is too large for the cache is not kept."""
        self.drop(key)
        entry = Entry(tenant, check_id, observations, decided_at, self._clock())
        if entry.size > self._limits.bytes:
            return
        self._entries[key] = entry
        self._keys[tenant, check_id] = key
        self._size += entry.size
        self._make_room()

    def use(self, key: bytes, check_id: str) -> None:
        """Note that a check took the entry over: purging either purges it."""
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.used_by.append(check_id)
        self._keys[entry.tenant, check_id] = key
        self._size += _USE_BYTES
        self._make_room()

    def purge(self, tenant: str, check_id: str) -> bool:
        """Forget what a check saw or took over; whether there was anything."""
        key = self._keys.get((tenant, check_id))
        if key is None:
            return False
        self.drop(key)
        return True

    def drop(self, key: bytes) -> None:
        """Forget an entry, if it is there."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._size -= entry.size
        for check_id in (entry.check_id, *entry.used_by):
            self._keys.pop((entry.tenant, check_id), None)

    def _make_room(self) -> None:
        """Drop what is too old, and the longest unused, until the limits are kept."""
        limits = self._limits
        while self._entries and (len(self._entries) > limits.entries or self._size > limits.bytes):
            self.drop(next(iter(self._entries)))
