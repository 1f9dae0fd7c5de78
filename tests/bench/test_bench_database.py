"""The PostgreSQL that is killed, a real one."""

from contextlib import suppress

import psycopg

from bench import postgres
from bench.promises.database import KillableDatabase


def test_recovered_after_a_backend_was_killed() -> None:
    """Once the server has thrown everybody out, whoever waits until it has recovered is let in."""
    with postgres.running() as server:
        database = KillableDatabase(server)
        with psycopg.connect(database.url) as thrown_out:
            database.kill_backend(0)
            while not thrown_out.closed:
                with suppress(psycopg.OperationalError):
                    thrown_out.execute("SELECT 1")
        database.recovered()
        with psycopg.connect(database.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
