"""Golden items: open cases whose right ruling is known, and that go through the queue like any other."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

from ostiary.v1.audit_pb2 import RULING_OVERTURN, RULING_UPHOLD, Ruling
from ostiary_gateway.watched import WatchedFile

Golden = Mapping[str, Ruling.ValueType]
_COLUMNS = ["check_id", "ruling"]
_RULINGS: Mapping[str, Ruling.ValueType] = {"uphold": RULING_UPHOLD, "overturn": RULING_OVERTURN}


def parse_golden(text: str) -> dict[str, Ruling.ValueType]:
    """The rulings by check, of CSV with the columns `check_id` and `ruling` (uphold, overturn).

    Raises ValueError in words: what is wrong in which line.
    """
    reader = csv.reader(text.splitlines())
    if next(reader, []) != _COLUMNS:
        raise ValueError(f"line 1: the columns are {','.join(_COLUMNS)}")
    found: dict[str, Ruling.ValueType] = {}
    for row in reader:
        if not row:
            continue
        if len(row) != len(_COLUMNS) or row[1] not in _RULINGS or not row[0]:
            raise ValueError(f"line {reader.line_num}: write a check id, a comma, and uphold or overturn")
        if row[0] in found:
            raise ValueError(f"line {reader.line_num}: check {row[0]} stands there twice")
        found[row[0]] = _RULINGS[row[1]]
    return found


def no_golden() -> Golden:
    """What is known where there is no file."""
    return {}


def golden_source(path: Path, clock: Callable[[], float]) -> Callable[[], Golden]:
    """Gives the golden items of a file, read again when it changes; a bad one leaves the last good in force.

    Raises ValueError where the file is missing or bad at first.
    """
    return WatchedFile(path, parse_golden, clock=clock).current
