"""What is measured: closed loops for throughput, then an open loop at half load for what a check adds."""

from __future__ import annotations

from dataclasses import dataclass

from bench.gateway.material import SIZES


@dataclass(frozen=True)
class Cell:
    """One load: so many callers at once, or (`half`) Poisson arrivals at half of what ours reached."""

    size: str
    clients: int = 0
    half: bool = False

    @property
    def name(self) -> str:
        """As people read it."""
        return f"half load, {self.size}" if self.half else f"closed {self.clients}, {self.size}"

    @property
    def bytes(self) -> int:
        """Bytes of each image."""
        return SIZES[self.size]


@dataclass(frozen=True)
class Plan:
    """How long everything takes. Seconds throughout.

    Attributes:
        repeats: times that each arm is started and measured.
        closed: the closed loops, in order; the largest last, for memory is told at its highest.
        half: the open loop.
        warm_up: before each measurement.
        closed_seconds: that a closed loop is measured.
        half_seconds: that the open loop is.
        service: that the stub pod takes over each image.
        start: that a server may take to answer.
    """

    name: str
    repeats: int = 3
    closed: tuple[Cell, ...] = (Cell("20 KB", 16), Cell("200 KB", 16), Cell("2 MB", 64))
    half: Cell = Cell("200 KB", half=True)
    warm_up: float = 1.0
    closed_seconds: float = 4.0
    half_seconds: float = 8.0
    service: float = 0.005
    start: float = 90.0


def full() -> Plan:
    """Some twelve minutes."""
    return Plan("full")


def quick() -> Plan:
    """Two to three minutes, for checking."""
    return Plan("quick", repeats=1, closed_seconds=2.0, half_seconds=3.0)


def smoke() -> Plan:
    """A few seconds for each arm, for tests."""
    cells = (Cell("20 KB", 2), Cell("200 KB", 2))
    return Plan("smoke", repeats=1, closed=cells, warm_up=0.2, closed_seconds=0.5, half_seconds=0.5)
