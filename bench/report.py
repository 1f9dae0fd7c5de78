"""What every benchmark hands in: rows and bars, printed for people and written for programs.

`bench/results/NAME.json` holds `machine`, `versions`, `date`, `settings`, `rows` and `bars`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"

Row = Mapping[str, Any]
_WIDTH = 200


@dataclass(frozen=True)
class Bar:
    """A figure beside what it has to reach. `value` is None where it was not measured: then it is not met."""

    name: str
    value: float | None
    bar: float
    direction: Literal["at least", "at most"]

    @property
    def met(self) -> bool:
        """Whether the bar was reached."""
        if self.value is None:
            return False
        return self.value >= self.bar if self.direction == "at least" else self.value <= self.bar

    def document(self) -> dict[str, Any]:
        """As it stands in the results file."""
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True)
class Report:
    """One benchmark's outcome. `settings`: whatever a reader needs to run the same again."""

    name: str
    rows: Sequence[Row]
    bars: Sequence[Bar]
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=lambda: this_machine())
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def document(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "name": self.name,
            "date": self.date,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "rows": [dict(row) for row in self.rows],
            "bars": [bar.document() for bar in self.bars],
        }


def write(report: Report, folder: Path = RESULTS) -> Path:
    """Write `folder/NAME.json`; an interrupted write leaves the earlier file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.name}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(report.document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def show(report: Report, console: Console | None = None) -> None:
    """Print rows and bars for people."""
    # A log file has no width of its own, and the library would take 80.
    console = console or Console(width=None if sys.stdout.isatty() else _WIDTH)
    for columns, lines in tables(report.rows):
        table = Table(*columns)
        for line in lines:
            table.add_row(*line)
        console.print(table)
    if report.bars:
        bars = Table("Bar", "Value", "", "Of", "Met")
        for bar in report.bars:
            bars.add_row(*bar_line(bar.document()))
        console.print(bars)


def tables(rows: Sequence[Row]) -> list[tuple[list[str], list[list[str]]]]:
    """Rows as tables of text, (columns, lines) each: rows with the same keys stand together."""
    found: dict[tuple[str, ...], list[list[str]]] = {}
    for row in rows:
        found.setdefault(tuple(row), []).append([cell(value) for value in row.values()])
    return [(list(columns), lines) for columns, lines in found.items()]


def bar_line(bar: Mapping[str, Any]) -> list[str]:
    """A bar's document as people read it: name, value, direction, bar, met."""
    met = "yes" if bar["met"] else "NO" if bar["value"] is not None else "not measured"
    return [bar["name"], cell(bar["value"]), bar["direction"], cell(bar["bar"]), met]


def cell(value: Any) -> str:
    """A figure as people read it: three significant digits, a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def this_machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def installed(names: Sequence[str]) -> dict[str, str]:
    """Versions of the distributions that are installed here."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
