"""Rewrites the measured blocks of docs/performance.md from bench/results: `python -m bench.performance`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.report import RESULTS, bar_line, tables

PAGE = Path(__file__).resolve().parents[1] / "docs/performance.md"
NAMES = ("engine", "gateway", "memory", "detectors", "lists", "record", "rules", "wordmarks", "gpu")
_NOT_YET = "Not yet measured.\n"


def block(document: Mapping[str, Any] | None) -> str:
    """What stands between the marks of one benchmark: where and when, bars, rows; in Markdown."""
    if document is None:
        return _NOT_YET
    machine, versions = document["machine"], document["versions"]
    where = ", ".join(f"{key} {value}" for key, value in machine.items())
    what = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [f"Measured {document['date'][:10]} on: {where}. Versions: {what}.\n"]
    if document["bars"]:
        parts.append(_table(["Bar", "Value", "", "Of", "Met"], [bar_line(bar) for bar in document["bars"]]))
    return "\n".join([*parts, *(_table(columns, lines) for columns, lines in tables(document["rows"]))])


def rewritten(page: str, name: str, text: str) -> str:
    """The page with the block of one benchmark replaced.

    Raises:
        ValueError: the page does not have the block's two marks.
    """
    start, end = f"<!-- {name}: measured -->\n", f"<!-- {name}: end -->\n"
    before, found, rest = page.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE}: marks of {name} missing: {start.strip()} … {end.strip()}")
    return before + start + text + end + after


def rewrite(page: Path = PAGE, results: Path = RESULTS, names: Sequence[str] = NAMES) -> None:
    """Bring the page up to the results that are there. `names`: of the benchmarks that have a block on it."""
    text = page.read_text(encoding="utf-8")
    for name in names:
        path = results / f"{name}.json"
        document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        text = rewritten(text, name, block(document))
    page.write_text(text, encoding="utf-8")


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*head, *("| " + " | ".join(line) + " |" for line in lines)]) + "\n"


if __name__ == "__main__":
    rewrite()
