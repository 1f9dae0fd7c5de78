"""What is measured on each arm, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SLO_SECONDS = {True: 2.0, False: 1.0}
"""What a caller is ready to wait: with a description, and for flags only."""


@dataclass(frozen=True)
class Cell:
    """One load on one server.

    `clients`: at once, in a closed loop. `load`: share of the arm's own capacity, in an open loop.
    `duplicates`: share of images that repeat a recent one. `seconds`: measured, without run-up and drain.
    `repeats`: in how many repeats it is run.
    """

    kind: Literal["closed", "open"]
    description: bool
    seconds: float
    repeats: int
    clients: int = 0
    load: float = 0.0
    duplicates: float = 0.0

    @property
    def wanted(self) -> str:
        """What is asked for, in words."""
        return "description" if self.description else "flags"

    @property
    def name(self) -> str:
        """Names the cell in files and tables."""
        how = f"closed {self.clients}" if self.kind == "closed" else f"open {self.load:g}×"
        copies = f", {self.duplicates:.0%} duplicates" if self.duplicates else ""
        return f"{how}, {self.wanted}{copies}"


@dataclass(frozen=True)
class Plan:
    """A whole run. `images`: distinct ones. `run_up`, `drain`: the most seconds before and after a cell."""

    name: str
    cells: tuple[Cell, ...]
    repeats: int
    images: int
    warm_up: float
    run_up: float
    drain: float
    agreement: int
    start_seconds: float = 150.0

    @property
    def seconds(self) -> float:
        """What an arm's cells measure over all repeats, without starts, run-ups and drains."""
        return sum(cell.seconds * min(cell.repeats, self.repeats) for cell in self.cells)


def full() -> Plan:
    """About 80 minutes on two quiet cores. Cells whose figures are held to a bar run in every repeat."""
    both = (True, False)
    closed = [Cell("closed", wanted, 7.0, 3, clients=clients) for wanted in both for clients in (1, 8, 32)]
    loaded = [Cell("open", wanted, 7.0, 3, load=0.8) for wanted in both]
    once = [Cell("open", wanted, 6.0, 1, load=load) for wanted in both for load in (0.5, 1.2, 2.0)]
    copies = [
        Cell("closed", True, 7.0, 1, clients=8, duplicates=0.3),
        Cell("open", True, 6.0, 1, load=0.8, duplicates=0.3),
    ]
    cells = (*closed, *loaded, *copies, *once)
    return Plan("full", cells, 3, 160, warm_up=2.0, run_up=15.0, drain=4.0, agreement=16)


def quick() -> Plan:
    """Six to eight minutes: enough to see that every arm works and about where it stands."""
    held = [
        Cell("closed", wanted, 3.0, 2, clients=clients) for wanted in (True, False) for clients in (8, 32)
    ]
    once = [
        Cell("closed", True, 2.0, 1, clients=1),
        Cell("closed", True, 3.0, 1, clients=8, duplicates=0.3),
        Cell("open", True, 5.0, 1, load=0.8),
    ]
    return Plan("quick", (*held, *once), 2, 40, warm_up=1.0, run_up=6.0, drain=2.0, agreement=8)


def smoke() -> Plan:
    """Seconds: a handful of checks, for tests."""
    cells = (Cell("closed", True, 1.0, 1, clients=2), Cell("open", False, 1.0, 1, load=0.5))
    return Plan("smoke", cells, 1, 4, warm_up=0.1, run_up=5.0, drain=10.0, agreement=1)
