"""Inserts many rows at once, many by each statement, in words that are made once.

A driver lets go of the interpreter for every statement and waits to get it back, which takes longer than the
statement where other threads are busy.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

# Rows of a statement, the most first: what is left over goes by the next.
_BLOCKS = (64, 8, 1)
Columns = tuple[str, ...]


def insert_rows(
    connection: Connection, table: Table, columns: Columns, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows of values in the order of the columns; none of them needs converting for the driver."""
    begun = 0
    for block in _BLOCKS:
        end = len(rows) - (len(rows) - begun) % block
        if begun < end:
            sql = _statement(connection.dialect.name, table.name, columns, block)
            starts = range(begun, end, block)
            blocks = [tuple(chain.from_iterable(rows[at : at + block])) for at in starts]
            connection.exec_driver_sql(sql, blocks)
            begun = end


@lru_cache(64)
def _statement(dialect: str, table: str, columns: Columns, block: int) -> str:
    """The driver's own words for so many rows."""
    mark = "?" if dialect == "sqlite" else "%s"
    row = f"({', '.join(mark for _ in columns)})"
    values = ", ".join(row for _ in range(block))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}"  # noqa: S608 - names of our own tables
