"""A KMS plug-in that can be served, and a record whose memory of keys is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.fake_kms import FakePlugin
from gateway.kms_stage import new_memory, short_path
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
