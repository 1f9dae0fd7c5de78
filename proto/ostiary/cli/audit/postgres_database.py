"""A gateway's PostgreSQL database, as a role sees it that may read the record."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ostiary.cli.audit.database import SCHEME, Row
from ostiary.cli.audit.problem import Tampered, UsageError

_CONNECT_SECONDS = 10
_ROWS = 500  # fetched at a time
# What a command line must not hold: everybody on the machine can read it.
_SECRETS = ("password", "sslpassword")
_PORTS = re.compile(r"[0-9,]*")
_PLACE = re.compile(r"[^@]*|[^@/]*//[^@/]*@[^@]*")  # what stands before the options
# A long audit is no mistake, whatever is set for the role.
_SETTINGS = ("SET statement_timeout = 0", "SET idle_in_transaction_session_timeout = 0")


@contextmanager
def open_postgres(url: str) -> Iterator["PostgresDatabase"]:
    """The database, for reading only.

    Raises:
        UsageError: the URL cannot be read or holds a password; the server, the database or the right to read
            is not there, or went away meanwhile.
        Tampered: what the gateway made is not there, or the server finds it damaged.
    """
    name = _checked(url)
    try:
        with closing(_connect(url)) as connection, closing(PostgresDatabase(connection)) as database:
            yield database
    except psycopg.errors.InsufficientPrivilege as error:
        words = f"{name}: {_line(error)}: the audit needs SELECT on the record's tables"
        raise UsageError(words) from error
    except psycopg.OperationalError as error:
        raise UsageError(f"{name} cannot be read, so that nothing is proved: {_line(error)}") from error
    except psycopg.Error as error:
        raise Tampered(f"the store is damaged: {_line(error)}") from error


def _checked(url: str) -> str:
    """The URL in words. Raises UsageError, whose words hold nothing of what may be secret."""
    try:
        given = conninfo_to_dict(url)
        # A password with such a sign in it would be taken for a port, a host or a database, and be told.
        readable = _PORTS.fullmatch(str(given.get("port", ""))) and _PLACE.fullmatch(url.partition("?")[0])
    except psycopg.Error:
        readable = None
    if not readable:
        words = "--store: PostgreSQL cannot read this URL; write signs such as @ : / in names as %40 %3A %2F"
        raise UsageError(words)
    if any(given.get(secret) for secret in _SECRETS):
        words = (
            "--store holds a password, which everybody on this machine can read while the audit runs: "
            "take it out, and give it by PGPASSWORD or a file (PGPASSFILE, ~/.pgpass)"
        )
        raise UsageError(words)
    return f"{SCHEME}{given.get('host', '')}/{given.get('dbname', '')}"


def _connect(url: str) -> psycopg.Connection[Row]:
    connection = psycopg.connect(
        url,
        connect_timeout=_CONNECT_SECONDS,
        application_name="ostiary audit",
        client_encoding="utf8",
        autocommit=True,
    )
    for setting in _SETTINGS:
        connection.execute(setting)
    connection.autocommit = False
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return connection


def _line(error: psycopg.Error) -> str:
    """The first line of what the server, or the driver, says."""
    return next(iter(str(error).splitlines()), type(error).__name__)


class PostgresDatabase:
    """See `Database`. Each method, and each step through rows, raises psycopg.Error."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """`connection` starts transactions that see one state of the database throughout."""
        self._connection = connection
        self._cursors: list[psycopg.ServerCursor[Row]] = []

    def damage(self) -> str | None:
        """See `Database.damage`: PostgreSQL says so of what it reads."""
        return None

    def begin(self) -> None:
        """See `Database.begin`."""
        self.close()
        self._connection.rollback()

    def select(self, sql: str, *parameters: int) -> Iterator[Row]:
        """See `Database.select`."""
        cursor = self._connection.cursor(name=f"audit_{len(self._cursors)}")
        self._cursors.append(cursor)
        cursor.itersize = _ROWS
        cursor.execute(sql.replace("?", "%s").encode(), parameters, binary=True)
        return iter(cursor)

    def close(self) -> None:
        """Let go of what was selected, also where the server has gone."""
        while self._cursors:
            with suppress(psycopg.Error):
                self._cursors.pop().close()
