"""A list from its two files: NAME.yaml says what it is, NAME.csv has one entry a line."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from ostiary_gateway.hashes.entries import Entry, PackedEntries
from ostiary_gateway.hashes.header import parse_header
from ostiary_gateway.hashes.in_force import ListInForce
from ostiary_gateway.hashes.index import HASH_BYTES, HashIndex
from ostiary_gateway.hashes.problems import MOST_PROBLEMS, BadListError, Problem

COLUMNS = ("hash", "source", "seller", "expires_at", "note", "tenant")
"""Columns of an entry file, by the names in its first line; all but `hash` may be left out."""

_LONGEST = {"source": 256, "seller": 256, "note": 500, "tenant": 256}
_DIGITS = 2 * HASH_BYTES


def read_list(name: str, header: bytes, lines: Iterable[bytes]) -> ListInForce:
    """The list whose files are called `name`.

    Args:
        name: their stem.
        header: what NAME.yaml holds.
        lines: the lines of NAME.csv, with their line breaks.

    Raises:
        BadListError: says which file, which line and why.
    """
    try:
        parsed = parse_header(header.decode(), name)
    except ValueError as error:
        raise BadListError([Problem(f"{name}.yaml", 0, str(error))]) from error
    digest = hashlib.sha256(hashlib.sha256(header).digest())
    hashes, entries = bytearray(), PackedEntries()
    problems: list[Problem] = []
    for entry in read_entries(f"{name}.csv", _digested(lines, digest.update), problems):
        hashes += entry.hash
        entries.append(entry.source, entry.seller, entry.expires_at, entry.note, entry.tenant)
    if not problems and not entries:
        why = "there is no entry; to take the list out of force, remove both of its files"
        problems.append(Problem(f"{name}.csv", 0, why))
    if problems:
        raise BadListError(problems)
    return ListInForce(parsed, digest.digest(), HashIndex(hashes, parsed.max_distance), entries)


def parse_hash(text: str) -> bytes:
    """The hash that 64 hexadecimal digits write, 32 bytes.

    Raises:
        ValueError: in words, what is there instead.
    """
    if len(text) != _DIGITS:
        raise ValueError(f"hash: {len(text)} characters; {_DIGITS} hexadecimal digits are needed")
    try:
        value = bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"hash: {text!r} has characters that are not hexadecimal digits") from error
    if len(value) != HASH_BYTES:  # blanks between digits pass unnoticed
        raise ValueError(f"hash: {text!r} has blanks in it")
    return value


def parse_time(text: str) -> datetime:
    """An aware time from ISO 8601.

    Raises:
        ValueError: it is none, or has no zone.
    """
    words = f"{text!r}; a time with its zone is needed, such as 2027-01-31T00:00:00Z"
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(words) from error
    if time.tzinfo is None:
        raise ValueError(words)
    return time


def read_entries(file: str, lines: Iterator[str], problems: list[Problem]) -> Iterator[Entry]:
    """The sound entries in the lines of an entry file; `problems` takes what is wrong with the others.

    Args:
        file: its name, for `problems`.
        lines: its lines, with their line breaks.
        problems: is appended to; reading stops when it has 20.
    """
    reader = csv.reader(lines, strict=True)
    try:
        names = next(reader, [])
        order = _order(names)
        for row in reader:
            if not row:
                continue
            try:
                yield _row(row, order, len(names))
            except ValueError as error:
                problems.append(Problem(file, reader.line_num, str(error)))
                if len(problems) == MOST_PROBLEMS:
                    return
    except UnicodeDecodeError as error:
        problems.append(
            Problem(file, reader.line_num + 1, f"byte {error.start + 1} of the line is not UTF-8")
        )
    except (ValueError, csv.Error) as error:
        problems.append(Problem(file, max(1, reader.line_num), str(error)))


def _digested(lines: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[str]:
    line = b"\n"
    for number, line in enumerate(lines):
        update(line)
        yield line.decode("utf-8-sig" if number == 0 else "utf-8")
    if not line.endswith(b"\n"):
        raise ValueError("the file ends within a line: it may be cut off; end it with a line break")


def _order(names: Sequence[str]) -> list[int]:
    """Where each of COLUMNS stands in a row; −1 where it does not."""
    for name in names:
        if name not in COLUMNS:
            raise ValueError(f"column {name!r}: the first line names columns, of {', '.join(COLUMNS)}")
        if names.count(name) > 1:
            raise ValueError(f"column {name!r} is named twice; keep one")
    if "hash" not in names:
        raise ValueError("column hash: it is missing; the first line names the columns")
    return [names.index(name) if name in names else -1 for name in COLUMNS]


def _row(row: list[str], order: list[int], width: int) -> Entry:
    if len(row) != width:
        raise ValueError(f"{len(row)} cells; the first line names {width} columns")
    cells = [row[at] if at >= 0 else "" for at in order]
    for name, text in zip(COLUMNS[1:], cells[1:], strict=True):
        if text and not text.isprintable():
            raise ValueError(f"{name}: {text!r} has characters that cannot be printed")
        if len(text) > _LONGEST.get(name, len(text)):
            raise ValueError(f"{name}: {len(text)} characters; at most {_LONGEST[name]}")
    digits, source, seller, until, note, tenant = cells
    return Entry(parse_hash(digits), source, seller, _expiry(until), note, tenant)


def _expiry(text: str) -> datetime | None:
    try:
        return parse_time(text) if text else None
    except ValueError as error:
        raise ValueError(f"expires_at: {error}") from error
