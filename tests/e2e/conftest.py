"""One stack for all end-to-end tests: starting it is what takes long."""

from collections.abc import Iterator

import pytest

from e2e.local_stack import LocalStack


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path_factory.mktemp("stack") / "ostiary")
    started = stack.up()
    assert started.code == 0, started.err
    yield stack
    stopped = stack.down()
    assert stopped.code == 0, stopped.err
    assert "killed" not in stopped.err


@pytest.fixture
def stack(started: LocalStack) -> LocalStack:
    """The stack, running: a test before may have stopped it."""
    if not started.running():
        again = started.up()
        assert again.code == 0, again.err
    return started
