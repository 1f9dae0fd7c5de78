"""Cases as Apache Parquet. Loaded where it is asked for alone: its library is large, and in an extra."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from ostiary_gateway.exports.flat import columns, row
from ostiary_gateway.review.cases import Case

_ROW_GROUP = 5000
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), datetime: pa.timestamp("us", tz="UTC")}
_SCHEMA = pa.schema([pa.field(name, _TYPES[kind], nullable=False) for name, kind in columns()])


class _Outbox:
    """A file to the writer: what it writes waits here to be taken. Nothing is kept that was taken."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._position = 0
        self.closed = False

    def write(self, data: Any) -> int:
        written = memoryview(data).nbytes
        self._data += data
        self._position += written
        return written

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class ParquetEncoder:
    """One file, in groups of rows, each compressed with Zstandard."""

    def __init__(self) -> None:
        self._outbox = _Outbox()
        self._writer = parquet.ParquetWriter(self._outbox, _SCHEMA, compression="zstd")
        self._rows: list[list[Any]] = []

    def head(self) -> bytes:
        """The file's first bytes."""
        return self._outbox.take()

    def cases(self, page: Sequence[Case], now_us: int) -> bytes:
        """What is complete by now: groups of rows."""
        self._rows += [row(case, now_us) for case in page]
        if len(self._rows) >= _ROW_GROUP:
            self._flush()
        return self._outbox.take()

    def tail(self) -> bytes:
        """What is left, and the file's index."""
        self._flush()
        self._writer.close()
        return self._outbox.take()

    def _flush(self) -> None:
        if self._rows:
            values = zip(*self._rows, strict=True)
            arrays = [pa.array(column, each.type) for column, each in zip(values, _SCHEMA, strict=True)]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
            self._rows = []
