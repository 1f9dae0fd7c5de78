"""What tests of a KMS need beside the plug-in: a path for its socket, and a record with keys."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ostiary_gateway.kms.keys import KmsKeys
from ostiary_gateway.kms.plugin import KmsPlugin
from ostiary_gateway.store.database import migrate, open_engine, prepare_file
from ostiary_gateway.store.evidence_keys import KeyMemory


@contextmanager
def short_path() -> Iterator[Path]:
    """Where a plug-in may listen: a socket's path is short, and those of tests are not."""
    with TemporaryDirectory(prefix="kms") as folder:
        yield Path(folder) / "kms.sock"


def new_memory(store: Path) -> KeyMemory:
    """Of a new record in a file."""
    prepare_file(store)
    engine = open_engine(store, begin="BEGIN IMMEDIATE")
    migrate(engine, store)
    engine.dispose()
    return KeyMemory(store)


@asynccontextmanager
async def started(socket: Path, store: Path) -> AsyncIterator[KmsKeys]:
    """The keys of a gateway over a record that is there."""
    plugin = KmsPlugin(socket, 5.0)
    keys = KmsKeys(plugin, KeyMemory(store))
    try:
        await keys.start()
        yield keys
    finally:
        await keys.close()
        await plugin.close()
