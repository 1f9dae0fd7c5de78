"""Runs the promises that are built and prints each figure beside its bar.

`python -m bench.prove [--promises 2,12] [--minutes 60] [--fresh]` writes `build/prove.json`. A promise that
this very state of the code has already shown is not run again unless `--fresh` is given, or more time for one
that had too little.
"""

import argparse
import hashlib
import json
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

from bench.promises import BUILT
from bench.promises.contract import Promise

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "build/prove.json"
MINUTES_EACH = 20.0
CODE = ("proto", "gateway", "moderation", "operator", "bench")


def code_digest() -> str:
    """SHA-256 over the sources that a result depends on, so that stale results are not reused."""
    digest = hashlib.sha256()
    for root in CODE:
        for path in sorted((REPOSITORY / root).rglob("*.py")):
            digest.update(f"{path.relative_to(REPOSITORY)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def recorded(code: str) -> dict[int, dict[str, Any]]:
    """Results of earlier runs of the same code, by promise number."""
    if not RESULTS.exists():
        return {}
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {row["number"]: row for row in document["promises"]} if document["code"] == code else {}


def save(code: str, rows: dict[int, dict[str, Any]]) -> None:
    """Write what is known so far, so that an interrupted run goes on where it stopped."""
    RESULTS.parent.mkdir(exist_ok=True)
    document = {"code": code, "promises": [rows[number] for number in sorted(rows)]}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def is_shown(row: dict[str, Any] | None, seconds: float) -> bool:
    """Whether a result stands where a promise may take so many seconds."""
    return row is not None and (row["count"] >= row["full_count"] or row["allowed"] >= seconds)


def show(rows: dict[int, dict[str, Any]], wanted: list[Promise]) -> None:
    """Print figures beside bars."""
    table = Table("#", "Promise", "Run", "Of", "Figure", "Bar", "Unit", "Met")
    for promise in wanted:
        row = rows[promise.number]
        figures = (f"{row[name]:,}" for name in ("count", "full_count", "figure", "bar"))
        table.add_row(str(row["number"]), row["title"], *figures, row["unit"], "yes" if row["met"] else "NO")
    Console().print(table)


def chosen(text: str) -> list[Promise]:
    """The promises asked for, or all that are built.

    Raises:
        SystemExit: One that is not built was asked for.
    """
    by_number = {promise.number: promise for promise in BUILT}
    numbers = [int(part) for part in text.split(",") if part.strip()] or sorted(by_number)
    missing = sorted(set(numbers) - set(by_number))
    if missing:
        built = ", ".join(map(str, sorted(by_number)))
        raise SystemExit(f"not built yet: promises {', '.join(map(str, missing))}; built: {built}")
    return [by_number[number] for number in numbers]


def main() -> int:
    """Run what was asked for; the exit status is 0 where every bar was reached."""
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument(
        "--promises", default="", help="numbers, comma-separated; default: all that are built"
    )
    parser.add_argument(
        "--minutes", type=float, default=MINUTES_EACH, help="that each may take; default: %(default)g"
    )
    parser.add_argument("--fresh", action="store_true", help="run again what this code has already shown")
    arguments = parser.parse_args()
    # Thousands of refusals are what is being shown: their log lines would hide the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    wanted = chosen(arguments.promises)
    code = code_digest()
    rows = {} if arguments.fresh else recorded(code)
    allowed = arguments.minutes * 60
    for promise in wanted:
        if not is_shown(rows.get(promise.number), allowed):
            started = time.monotonic()
            outcome = promise.run(allowed)
            seconds = round(time.monotonic() - started, 1)
            rows[promise.number] = {
                "number": promise.number,
                "title": promise.title,
                **asdict(outcome),
                "seconds": seconds,
                "allowed": allowed,
            }
            save(code, rows)
    show(rows, wanted)
    return 0 if all(rows[promise.number]["met"] for promise in wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
