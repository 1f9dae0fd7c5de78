"""Where recorded checks are read from for a replay: a store, or an export of one. In parts, for processes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Protocol

from google.protobuf import json_format

from ostiary.v1.audit_pb2 import GetCaseResponse
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.store.database import Store
from ostiary_gateway.store.history import History, Period

_ENTRIES, _BYTES = 4096, 8 * 1024 * 1024


class Part(Protocol):
    """A part of what is replayed; it travels to the process that reads it."""

    @property
    def weight(self) -> int:
        """How much of the whole it is."""
        ...

    def records(self) -> Iterator[DecisionRecord]:
        """Its checks. Raises ValueError where they cannot be read."""
        ...


@dataclass(frozen=True)
class StorePart:
    """Entries of a store's log: behind `span[0]`, up to `span[1]`."""

    store: Store
    period: Period
    span: tuple[int, int]

    @property
    def weight(self) -> int:
        """Entries."""
        return self.span[1] - self.span[0]

    def records(self) -> Iterator[DecisionRecord]:
        """Its checks; what was erased is left out."""
        with closing(History(self.store, self.period)) as history:
            yield from (record for record in history.records(self.span) if record.check_id)


@dataclass(frozen=True)
class ExportPart:
    """The lines of an export that begin from byte `start` to before `stop`."""

    export: Path
    period: Period
    start: int
    stop: int

    @property
    def weight(self) -> int:
        """Bytes."""
        return self.stop - self.start

    def records(self) -> Iterator[DecisionRecord]:
        """Its checks that fall into the period."""
        with self.export.open("rb") as file:
            if self.start:
                file.seek(self.start - 1)
                file.readline()  # the rest of a line that begins in the part before
            while (at := file.tell()) < self.stop and (line := file.readline()):
                record = _record(self.export, at, line)
                if _within(record, self.period):
                    yield record


def parts_of_store(store: Store, period: Period) -> Sequence[Part]:
    """Raises StoreError, a ValueError."""
    with closing(History(store, period)) as history:
        return [StorePart(store, period, span) for span in history.spans(_ENTRIES)]


def parts_of_export(export: Path, period: Period) -> Sequence[Part]:
    """Raises ValueError where there is no such file."""
    if not export.is_file():
        raise ValueError(f"{export} is not a file: make it with `ostiary audit export --format jsonl`")
    size = export.stat().st_size
    return [ExportPart(export, period, start, min(start + _BYTES, size)) for start in range(0, size, _BYTES)]


def _record(export: Path, at: int, line: bytes) -> DecisionRecord:
    try:
        case = json_format.ParseDict(json.loads(line), GetCaseResponse(), ignore_unknown_fields=True)
    except (ValueError, json_format.ParseError) as error:
        words = f"{export}: the line at byte {at} is no case, or is cut short: export it anew ({error})"
        raise ValueError(words) from error
    return DecisionRecord(
        check_id=case.summary.check_id,
        listing=case.listing,
        response=case.response,
        observations=case.observations if case.HasField("observations") else None,
    )


def _within(record: DecisionRecord, period: Period) -> bool:
    at = record.response.receipt.decided_at.ToDatetime(UTC)
    return (period.since is None or at >= period.since) and (period.until is None or at < period.until)
