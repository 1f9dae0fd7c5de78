"""The driver's own cursor fails as SQLAlchemy does."""

from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from ostiary_gateway.store.database import open_engine
from ostiary_gateway.store.driver import driver_cursor
from postgres import Postgres

ONE = "CREATE TABLE one (id integer PRIMARY KEY)"


@pytest.mark.parametrize(
    ("statement", "raised"),
    [("INSERT INTO one VALUES (1), (1)", IntegrityError), ("INSERT INTO two VALUES (1)", OperationalError)],
    ids=["a constraint", "no such table"],
)
def test_errors_are_sqlalchemy_s(statement: str, raised: type[DBAPIError]) -> None:
    """Whoever tells them apart by their types need not know which way a statement went."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql(ONE)
    with pytest.raises(raised) as failure, engine.begin() as connection, driver_cursor(connection) as cursor:
        cursor.execute(statement)
    assert type(failure.value.orig).__name__ == raised.__name__
    assert not failure.value.connection_invalidated
    engine.dispose()


def server_ends_it(connection: psycopg.Connection, url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))


def driver_has_noticed(connection: psycopg.Connection, _: str) -> None:
    connection.close()


@pytest.mark.parametrize("end", [server_ends_it, driver_has_noticed])
def test_a_connection_that_is_gone_is_not_used_again(
    postgres: Postgres, end: Callable[[psycopg.Connection, str], None]
) -> None:
    """The transaction fails, and the next one has a connection of its own."""
    url = postgres.database()
    engine = open_engine(url, begin="BEGIN IMMEDIATE")

    def asked() -> None:
        with engine.begin() as connection:
            end(connection.connection.driver_connection, url)  # type: ignore[arg-type]
            with driver_cursor(connection) as cursor:
                cursor.execute("SELECT 1")

    with pytest.raises(OperationalError) as failure:
        asked()
    assert failure.value.connection_invalidated
    with engine.begin() as connection, driver_cursor(connection) as cursor:
        cursor.execute(ONE)
    engine.dispose()
