"""Inserts many rows at once, many by each statement, in words that are made once.

A driver lets go of the interpreter for every statement and waits to get it back, which takes longer than the
statement where other threads are busy.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, groupby
from typing import Any, TypeVar

from sqlalchemy import Connection, Table

from ostiary_gateway.store.driver import driver_cursor

# Rows of a statement, the most first: what is left over goes by the next.
_BLOCKS = (64, 8, 1)
Columns = tuple[str, ...]
T = TypeVar("T")


def insert_rows(
    connection: Connection, table: Table, columns: Columns, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows of values in the order of the columns; none of them needs converting for the driver.

    Raises what `Connection.execute` does.
    """
    if not rows:
        return
    with driver_cursor(connection) as cursor:
        for size, parts in groupby(blocks(rows), len):
            sql = _statement(connection.dialect.name, table.name, columns, size)
            made = [tuple(chain.from_iterable(part)) for part in parts]
            if len(made) == 1:
                cursor.execute(sql, made[0])
            else:
                cursor.executemany(sql, made)


def blocks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """All items in blocks of few sizes, the largest first: each is a statement that is known already."""
    begun = 0
    for size in _BLOCKS:
        for at in range(begun, len(items) - size + 1, size):
            yield items[at : at + size]
            begun = at + size


def placeholder(dialect: str) -> str:
    """What stands for a value in the driver's own words."""
    return "?" if dialect == "sqlite" else "%s"


@lru_cache(64)
def _statement(dialect: str, table: str, columns: Columns, block: int) -> str:
    """The driver's own words for so many rows."""
    mark = placeholder(dialect)
    row = f"({', '.join(mark for _ in columns)})"
    values = ", ".join(row for _ in range(block))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}"  # noqa: S608 - names of our own tables
