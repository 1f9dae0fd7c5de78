"""Cases as comma-separated values that spreadsheets open without executing anything."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ostiary_gateway.exports.flat import columns, row
from ostiary_gateway.review.cases import Case

# What makes spreadsheets read a cell as a formula; the last two where they skip blanks before one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_TEXT = "'"


class CsvEncoder:
    """RFC 4180 with a header line, UTF-8. What a spreadsheet might execute begins with an apostrophe."""

    def head(self) -> bytes:
        """The header line."""
        return _lines([[name for name, _ in columns()]])

    def cases(self, page: Sequence[Case], now_us: int) -> bytes:
        """A line for each."""
        return _lines([[_cell(value) for value in row(case, now_us)] for case in page])

    def tail(self) -> bytes:
        """Nothing."""
        return b""


def _lines(rows: Sequence[Sequence[Any]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return f"{_TEXT}{value}" if isinstance(value, str) and _executes(value) else value


def _executes(text: str) -> bool:
    return text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
