"""The contract of the database that an audit compares with, and which one is meant."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from ostiary.cli.audit.problem import UsageError

Row = tuple[Any, ...]
SCHEME = "postgresql://"


class Database(Protocol):
    """A gateway's database, for reading only.

    Whoever opened it turns what a method raises into Tampered, or into UsageError where it cannot be read.
    """

    def damage(self) -> str | None:
        """What it finds wrong with itself; None: nothing."""
        ...

    def begin(self) -> None:
        """See it as it is now, until this is called again; what was selected before has an end."""
        ...

    def select(self, sql: str, *parameters: int) -> Iterator[Row]:
        """Rows, as they are asked for; `?` in the words stands for a parameter."""
        ...


def open_database(store: Path | str) -> AbstractContextManager[Database]:
    """The database of a file, or of a URL. Raises UsageError where there is none, Tampered where damaged."""
    if isinstance(store, Path):
        from ostiary.cli.audit.sqlite_database import open_sqlite

        return open_sqlite(store)
    try:
        from ostiary.cli.audit.postgres_database import open_postgres
    except ImportError as error:
        words = f"a store in PostgreSQL needs its driver: pip install 'ostiary[postgres]' ({error})"
        raise UsageError(words) from error
    return open_postgres(store)
