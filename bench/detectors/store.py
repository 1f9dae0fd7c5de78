"""What was seen, kept line by line, so that a run that is stopped goes on where it was.

A part is kept in files `NAME.0.jsonl`, `NAME.1.jsonl`, …, one per process that wrote. The first line says
what was set up; what was seen under another set-up is not used again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

Record = Mapping[str, Any]


class Shard:
    """One process's file. Every line is on disk before the next is begun."""

    def __init__(self, path: Path, setup: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("x", encoding="utf-8")
        self._write({"setup": setup})

    def __enter__(self) -> Shard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, record: Record) -> None:
        """Keep one record; it has its `number`."""
        self._write(record)

    def _write(self, line: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._stream.flush()


def kept(folder: Path, part: str, setup: str) -> dict[int, Record]:
    """The records of a part by number. Files of another set-up are removed."""
    found: dict[int, Record] = {}
    for path in _files(folder, part):
        lines = _whole_lines(path)
        if next(lines, {}).get("setup") != setup:
            path.unlink()
            continue
        found.update((line["number"], line) for line in lines)
    return found


def next_paths(folder: Path, part: str, count: int) -> list[Path]:
    """Names of so many new files."""
    taken = [int(path.name.split(".")[-2]) for path in _files(folder, part)]
    first = max(taken, default=-1) + 1
    return [folder / f"{part}.{number}.jsonl" for number in range(first, first + count)]


def _files(folder: Path, part: str) -> list[Path]:
    return sorted(folder.glob(f"{part}.*.jsonl"))


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every line but a last one that was cut off."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.endswith("\n"):
                yield json.loads(line)
