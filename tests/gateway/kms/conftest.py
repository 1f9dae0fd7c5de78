"""A KMS plug-in that can be served, and a record whose memory of keys is there."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.fake_kms import FakePlugin
from ostiary_gateway.store.database import migrate, open_engine, prepare_file
from ostiary_gateway.store.evidence_keys import KeyMemory


@pytest.fixture
def socket() -> Iterator[Path]:
    """Where a plug-in may listen; a socket's path is short, and those of tests are not."""
    folder = Path(tempfile.mkdtemp(prefix="kms"))
    yield folder / "kms.sock"
    shutil.rmtree(folder)


@pytest.fixture
def fake() -> FakePlugin:
    """A plug-in that is well, not served yet."""
    return FakePlugin()


@pytest.fixture
def memory(tmp_path: Path) -> KeyMemory:
    """Of a record that is new."""
    store = tmp_path / "ostiary.db"
    prepare_file(store)
    engine = open_engine(store, begin="BEGIN IMMEDIATE")
    migrate(engine, store)
    engine.dispose()
    return KeyMemory(store)
