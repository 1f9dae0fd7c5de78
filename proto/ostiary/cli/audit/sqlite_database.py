"""A gateway's SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ostiary.cli.audit.database import Row
from ostiary.cli.audit.problem import Tampered, UsageError


@contextmanager
def open_sqlite(path: Path) -> Iterator["SqliteDatabase"]:
    """The database, for reading only. Raises UsageError where there is none, Tampered where it is damaged."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file: name the gateway's database with --store")
    # Without a write-ahead log nobody has the database open; `immutable` then leaves no file behind.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    try:
        uri = f"{path.absolute().as_uri()}?{mode}"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)) as connection:
            yield SqliteDatabase(connection)
    except sqlite3.Error as error:
        raise Tampered(f"the store is damaged: {error}") from error


class SqliteDatabase:
    """See `Database`. Each method raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` starts no transaction by itself."""
        self._connection = connection
        self._cursors: list[sqlite3.Cursor] = []

    def damage(self) -> str | None:
        """See `Database.damage`."""
        found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check(1)")]
        return None if found == ["ok"] else found[0]

    def begin(self) -> None:
        """See `Database.begin`."""
        for cursor in self._cursors:
            cursor.close()  # an open cursor would hold on to what it saw before
        self._cursors.clear()
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._connection.execute("BEGIN")

    def select(self, sql: str, *parameters: int) -> Iterator[Row]:
        """See `Database.select`."""
        self._cursors.append(self._connection.execute(sql, parameters))
        return self._cursors[-1]
