"""Entries from what others keep: CSV with our columns, and the exchange formats of python-threatexchange.

Exchange files are recognised by what they hold:

- JSON: an array of signals, or an object with one under `data`, as the Graph API answers. The kind stands in
  `signal_type` or `type` (`pdq`, `HASH_PDQ`), the hash in `signal_str`, `signal_value`, `raw_indicator` or
  `indicator`.
- CSV with the columns `signal_type, signal_str, collab, category, tags`: `threatexchange dataset -P --csv`.
- Lines of `SIGNAL_TYPE HASH`: its signal files, and `threatexchange dataset -P -S`.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from ostiary_gateway.hashes.entries import Entry
from ostiary_gateway.hashes.header import PDQ, SHA256
from ostiary_gateway.hashes.problems import MOST_PROBLEMS, BadListError, Problem
from ostiary_gateway.hashes.reading import parse_hash, read_entries

# What exchanges call a kind; those of videos and texts are none of ours.
_SIGNALS = {"pdq": PDQ, "hash_pdq": PDQ, "sha256": SHA256, "hash_sha256": SHA256}
_HASH_KEYS = ("signal_str", "signal_value", "raw_indicator", "indicator")
# What exchanges call a signal that is known to be bad; where it says nothing, it is meant so too.
_BAD = ("", "positive_class", "malicious")
_LONGEST_NOTE = 500


@dataclass(slots=True)
class Imported:
    """What came of a file: entries in its order, and how many were left out, by reason."""

    entries: list[Entry] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Signal:
    """A line or item of an exchange file: where it stands, and its fields by name."""

    line: int
    fields: Mapping[str, Any]


def import_entries(file: str, text: str, kind: str) -> Imported:
    """The entries of a kind (`sha256` or `pdq`) in a file of any of the formats, each hash and seller once.

    Raises:
        BadListError: an entry of that kind cannot be used; says which line (of JSON: which item) and why.
    """
    problems: list[Problem] = []
    found = Imported()
    try:
        found.entries.extend(_once(_reader(text)(file, text, kind, found.left_out, problems), found.left_out))
    except csv.Error as error:
        problems.append(Problem(file, 0, f"not CSV: {error}"))
    if not problems and not found.entries:
        left_out = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items())
        problems.append(Problem(file, 0, f"there is no {kind} entry in it ({left_out or 'it is empty'})"))
    if problems:
        raise BadListError(problems)
    return found


_Reader = Callable[[str, str, str, Counter[str], list[Problem]], Iterator[Entry]]


def _reader(text: str) -> _Reader:
    first = text.lstrip().partition("\n")[0]
    if first.startswith(("[", "{")):
        return _from_json
    names = [name.strip(' "\r') for name in first.split(",")]
    if "signal_str" in names:
        return _from_exchange_csv
    return _from_own_csv if "hash" in names else _from_signal_lines


def _from_own_csv(
    file: str, text: str, kind: str, left_out: Counter[str], problems: list[Problem]
) -> Iterator[Entry]:
    return read_entries(file, StringIO(text, newline=""), problems)


def _from_json(
    file: str, text: str, kind: str, left_out: Counter[str], problems: list[Problem]
) -> Iterator[Entry]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        problems.append(Problem(file, error.lineno, f"not JSON: {error.msg}"))
        return iter(())
    items = document.get("data", [document]) if isinstance(document, dict) else document
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        problems.append(Problem(file, 0, "an array of objects is expected, or one under `data`"))
        return iter(())
    signals = (_Signal(number, item) for number, item in enumerate(items, 1))
    return _entries(file, signals, kind, left_out, problems)


def _from_exchange_csv(
    file: str, text: str, kind: str, left_out: Counter[str], problems: list[Problem]
) -> Iterator[Entry]:
    reader = csv.DictReader(StringIO(text, newline=""), strict=True)
    signals = (_Signal(reader.line_num, row) for row in reader)
    return _entries(file, signals, kind, left_out, problems)


def _from_signal_lines(
    file: str, text: str, kind: str, left_out: Counter[str], problems: list[Problem]
) -> Iterator[Entry]:
    signals = (
        _Signal(number, {"signal_type": words[0], "signal_str": words[-1]})
        for number, line in enumerate(StringIO(text), 1)
        if (words := line.split())
    )
    return _entries(file, signals, kind, left_out, problems)


def _entries(
    file: str,
    signals: Iterable[_Signal],
    kind: str,
    left_out: Counter[str],
    problems: list[Problem],
) -> Iterator[Entry]:
    for signal in signals:
        if why := _unwanted(signal.fields, kind):
            left_out[why] += 1
            continue
        try:
            yield _entry(signal.fields)
        except ValueError as error:
            problems.append(Problem(file, signal.line, str(error)))
            if len(problems) == MOST_PROBLEMS:
                return


def _unwanted(fields: Mapping[str, Any], kind: str) -> str:
    """Why a signal is not for the list, in a few words; empty where it is."""
    named = str(fields.get("signal_type") or fields.get("type") or "")
    if _SIGNALS.get(named.lower()) != kind:
        return f"of the kind {named!r}"
    if fields.get("should_delete") is True:
        return "deleted"
    said = str(fields.get("category") or fields.get("status") or "")
    return "" if said.lower() in _BAD else f"called {said}"


def _entry(fields: Mapping[str, Any]) -> Entry:
    text = next((str(fields[key]) for key in _HASH_KEYS if fields.get(key)), "")
    owner = fields.get("owner")
    source = fields.get("collab") or (owner.get("name") if isinstance(owner, dict) else "")
    tags = ", ".join(_tags(fields.get("tags")))
    note = _printable(f"tags: {tags}" if tags else "")[:_LONGEST_NOTE]
    return Entry(parse_hash(text.strip()), source=_printable(str(source or ""))[:256], note=note)


def _tags(written: object) -> Sequence[str]:
    """Tags, as text with blanks, as an array, or as the Graph API's array of objects."""
    if isinstance(written, str):
        return written.split()
    items = written.get("data", []) if isinstance(written, dict) else written
    if not isinstance(items, list):
        return []
    return [str(item.get("text", "")) if isinstance(item, dict) else str(item) for item in items]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _once(entries: Iterable[Entry], left_out: Counter[str]) -> Iterator[Entry]:
    seen: set[tuple[bytes, str, str]] = set()
    for entry in entries:
        key = (entry.hash, entry.seller, entry.tenant)
        if key in seen:
            left_out["there already"] += 1
            continue
        seen.add(key)
        yield entry
