"""The driver's own cursor, for what is done in every transaction, and for inserting.

What SQLAlchemy does around a statement takes longer than these statements do; its errors are kept.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


@contextmanager
def driver_cursor(connection: Connection) -> Iterator[Any]:
    """A cursor in the connection's transaction. Raises SQLAlchemy's errors, as `Connection.execute` does."""
    dialect = connection.dialect
    try:
        with closing(connection.connection.cursor()) as cursor:
            yield cursor
    except dialect.loaded_dbapi.Error as error:
        gone = dialect.is_disconnect(error, connection.connection, None)
        if gone:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, dialect.loaded_dbapi.Error, connection_invalidated=gone, dialect=dialect
        ) from error
