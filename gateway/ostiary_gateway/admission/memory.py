"""How near the process is to the end of its memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

_INTERVAL = 0.1  # seconds between looks


class Pressure(IntEnum):
    """How much must be refused."""

    NONE = 0
    BULK = 1
    """Bulk work is refused."""
    ALL = 2
    """Everything is."""


def resident_bytes() -> int:
    """Resident set size of this process in bytes; 0 where the system does not tell (no /proc)."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class MemoryGauge:
    """Looks at memory now and then. Pure but for what it is given."""

    def __init__(
        self,
        limit_bytes: int,
        read: Callable[[], int] = resident_bytes,
        *,
        bulk_share: float = 0.85,
        all_share: float = 0.95,
    ) -> None:
        """`limit_bytes`: what the process may hold; the shares are of it."""
        self._limit = limit_bytes
        self._read = read
        self._shares = bulk_share, all_share
        self._looked_at = float("-inf")
        self._pressure = Pressure.NONE

    def pressure(self, now: float) -> Pressure:
        """The pressure, at most a tenth of a second old. `now`: monotonic seconds."""
        if now - self._looked_at >= _INTERVAL:
            self._looked_at = now
            share = self._read() / self._limit
            bulk, everything = self._shares
            self._pressure = (
                Pressure.ALL if share >= everything else Pressure.BULK if share >= bulk else Pressure.NONE
            )
        return self._pressure
