"""Reads recorded decisions of a period, without ever writing, also while a gateway records more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import ColumnElement, Engine, Row, Select, and_, create_engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.store.database import Store, StoreError, named, open_engine
from ostiary_gateway.store.schema import decisions

# Each opens the database anew, which takes about a millisecond.
_BATCH = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_D = decisions.c


@dataclass(frozen=True)
class Period:
    """Which decisions are meant.

    Attributes:
        since: aware time from which on; None: from the first.
        until: aware time before which; None: to the last that is there when reading begins.
        tenant: whose; empty: everybody's.
    """

    since: datetime | None = None
    until: datetime | None = None
    tenant: str = ""


class History:
    """The decisions of a period, in the order of the log. Each method raises StoreError."""

    def __init__(self, store: Store, period: Period) -> None:
        """Look at what is there when it is first asked; what is recorded later is not part of it."""
        if isinstance(store, Path) and not store.is_file():
            raise StoreError(f"{store} is not a file: the gateway has recorded nothing, or elsewhere")
        self._store = store
        self._engine = read_only_engine(store)
        self._where = condition(period)

    @cached_property
    def _extent(self) -> tuple[int, int, int]:
        """How many there are, and the indexes of the first and the last; asked once, for it looks at all."""
        query = select(func.count(), func.min(_D.log_index), func.max(_D.log_index)).where(self._where)
        ((count, first, last),) = self._ask(query)
        return count, first or 0, -1 if last is None else last

    def __len__(self) -> int:
        """How many there are."""
        return self._extent[0]

    def spans(self, entries: int) -> list[tuple[int, int]]:
        """Parts of the log that hold them, of so many entries each: behind which, and up to which."""
        _, first, last = self._extent
        return [(start - 1, min(start + entries - 1, last)) for start in range(first, last + 1, entries)]

    def records(self, span: tuple[int, int] | None = None) -> Iterator[DecisionRecord]:
        """Each of them, or of a span. Nothing is held open between batches: writers are not hindered."""
        after, last = span or (-1, self._extent[2])
        while after < last:
            query = (
                select(_D.log_index, _D.record)
                .where(self._where, _D.log_index > after, _D.log_index <= last)
                .order_by(_D.log_index)
                .limit(_BATCH)
            )
            for row in (rows := self._ask(query)):
                yield self._decoded(row.log_index, row.record)
            after = rows[-1].log_index if rows else last

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _ask(self, query: Select[*tuple[Any, ...]]) -> Sequence[Row[*tuple[Any, ...]]]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            why = getattr(error, "orig", None) or error
            raise StoreError(f"{named(self._store)} cannot be read as a record: {why}") from error

    def _decoded(self, log_index: int, data: bytes) -> DecisionRecord:
        try:
            return DecisionRecord.FromString(data)
        except DecodeError as error:
            raise StoreError(
                f"{named(self._store)}: the record of entry {log_index} is damaged: `ostiary audit verify`"
            ) from error


def read_only_engine(store: Store) -> Engine:
    """Of a store that a gateway may have open; it writes nothing, not even a file beside it."""
    if isinstance(store, str):
        return open_engine(store, begin="BEGIN")
    # Without a write-ahead log nobody has the database open; `immutable` then leaves no file behind.
    mode = "mode=ro" if store.with_name(store.name + "-wal").exists() else "mode=ro&immutable=1"
    return create_engine(f"sqlite:///file:{store.absolute()}?{mode}&uri=true", poolclass=NullPool)


def condition(period: Period) -> ColumnElement[bool]:
    """What holds for the decisions of a period."""
    # Of an erased decision there is nothing left to read.
    conditions: list[ColumnElement[bool]] = [_D.record != b""]
    if period.since is not None:
        conditions.append(_D.created_us >= _microseconds(period.since))
    if period.until is not None:
        conditions.append(_D.created_us < _microseconds(period.until))
    if period.tenant:
        conditions.append(_D.tenant == period.tenant)
    return and_(*conditions)


def _microseconds(time: datetime) -> int:
    return round((time - _EPOCH).total_seconds() * 1_000_000)
