"""A KMS plug-in that can be served, and a record whose memory of keys is there."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bench.fake_kms import FakePlugin, serving
from gateway.kms_stage import Clock, Gateways, new_memory, short_path
from ostiary_gateway.store.evidence_keys import KeyMemory


@pytest.fixture
def socket() -> Iterator[Path]:
    """Where a plug-in may listen; a socket's path is short, and those of tests are not."""
    with short_path() as path:
        yield path


@pytest.fixture
def fake() -> FakePlugin:
    """A plug-in that is well, not served yet."""
    return FakePlugin()


@pytest.fixture
def memory(tmp_path: Path) -> KeyMemory:
    """Of a record that is new."""
    return new_memory(tmp_path / "ostiary.db")


@pytest.fixture
async def gateways(socket: Path, memory: KeyMemory) -> AsyncIterator[Gateways]:
    """Over that record, with a clock that the test moves."""
    async with AsyncExitStack() as stack:
        yield Gateways(stack, socket, memory, Clock())


@pytest.fixture
async def served(fake: FakePlugin, socket: Path) -> AsyncIterator[FakePlugin]:
    """The plug-in, at its socket."""
    async with serving(fake, socket):
        yield fake
