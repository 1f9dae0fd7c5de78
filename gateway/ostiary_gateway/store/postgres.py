"""PostgreSQL behind the record: connections, the lock of the one sequencer, and who may write what.

`ostiary_recorder` is a role for gateways that may add to the log and never change it. Where the role is there
when the schema is brought up to date, it gets its rights; the tables' owner is then needed for that alone.
"""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from ostiary_gateway.store.driver import driver_cursor

SCHEME = "postgresql://"
RECORDER_ROLE = "ostiary_recorder"
# Any number that nobody else takes: PostgreSQL's advisory locks are the database's.
_SEQUENCER_LOCK = 0x6F73746961727931
_CONNECT_SECONDS = 10
_ADD = ("logs", "entries", "nodes", "checkpoints", "decisions", "case_events", "erasures")
_KEEP = ("cases", "case_terms", "bulk_checks", "appeals", "evidence_keys", "evidence_kms")
# What an erasure empties. Triggers let that happen to what has a tombstone, and nothing else to anything.
_EMPTIED = {
    "decisions": "caller, idempotency_key, request_sha256, salt, record",
    "case_events": "salt, record",
}


def open_postgres(url: str, *, writes: bool, pool_size: int) -> Engine:
    """An engine whose transactions hold the sequencer's lock, or see one state of the database throughout."""
    engine = create_engine(
        url.replace(SCHEME, "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
        connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "ostiary"},
    )

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            # Whatever the server's own setting is: a decision that was answered survives a power cut.
            cursor.execute("SET synchronous_commit = on")
            if not writes:
                cursor.execute("SET default_transaction_read_only = on")
        connection.commit()

    if writes:

        @event.listens_for(engine, "begin")
        def start(connection: Connection) -> None:
            with driver_cursor(connection) as cursor:
                cursor.execute(f"SELECT pg_advisory_xact_lock({_SEQUENCER_LOCK})")

    return engine


def is_away(engine: Engine, error: DBAPIError) -> bool:
    """Whether a server failed because it takes no connections now: it is down, starts, recovers or stops.

    It blocks for as long as connecting may take. A server that lets nobody in by this name, or knows no such
    database, is not away.
    """
    if error.connection_invalidated:
        return True
    if error.statement is not None:
        return False  # it was connected, and has answered
    # libpq tells apart who is not there and who said no, which the driver's errors do not.
    from psycopg.conninfo import make_conninfo
    from psycopg.pq import PGconn, Ping

    _, parameters = engine.dialect.create_connect_args(engine.url)
    del parameters["context"]  # for the driver, and none of libpq's
    address = make_conninfo(**{**parameters, "connect_timeout": _CONNECT_SECONDS})
    if PGconn.ping(address.encode()) != Ping.OK:
        return True
    try:
        engine.connect().close()
    except DBAPIError:
        return False
    return True  # it came back meanwhile


def grant(connection: Connection) -> None:
    """Let the recorder's role add to the log, where there is one. Its rows are for nobody to change."""
    there = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": RECORDER_ROLE})
    if not there:
        return
    tables = set(
        connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"))
    )
    for table in sorted(tables):
        rights = "SELECT"
        if table in _ADD:
            rights = "SELECT, INSERT"
        elif table in _KEEP:
            rights = "SELECT, INSERT, UPDATE, DELETE"
        if table in _EMPTIED:
            rights += f", UPDATE ({_EMPTIED[table]})"
        connection.execute(text(f'GRANT {rights} ON "{table}" TO {RECORDER_ROLE}'))
