"""What tests of a KMS need beside the plug-in: a path for its socket, and a record with keys."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ostiary.v1.evidence_pb2 import WrappedKey
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.kms.keys import KmsKeys
from ostiary_gateway.kms.plugin import KmsPlugin
from ostiary_gateway.kms.times import KmsTimes
from ostiary_gateway.store.database import migrate, open_engine, prepare_file
from ostiary_gateway.store.evidence_keys import KeyMemory
from ostiary_gateway.store.key_file import KeyFile
from ostiary_gateway.store.sealing import ItemName, kms_key_of

ITEM = ItemName("demo", "check-1", "canonical-0")
DATA = b"pixels of a T-shirt"
TIMES = KmsTimes(poll=30, again=0.01, grace=120, call=5)


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


@dataclass
class Clock:
    """Monotonic seconds that pass when the test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Gateways:
    """Gateways over one record, each with its own client of the plug-in."""

    stack: AsyncExitStack
    socket: Path
    memory: KeyMemory
    clock: Clock

    async def one(
        self, *, file: KeyFile | None = None, times: KmsTimes = TIMES, new: bool = False, start: bool = True
    ) -> KmsKeys:
        plugin = KmsPlugin(self.socket, times.call)
        self.stack.push_async_callback(plugin.close)
        keys = KmsKeys(plugin, self.memory, file, times=times, clock=self.clock)
        self.stack.push_async_callback(keys.close)
        if start:
            await keys.start(new=new)
        return keys

    def ciphertext(self) -> bytes:
        """What the record remembers of the last key."""
        known = self.memory.known().kms
        assert known
        return WrappedKey.FromString(known.envelope).ciphertext


def key_id(sealed: bytes) -> str:
    found = kms_key_of(ITEM, sealed)
    assert found
    return WrappedKey.FromString(found.envelope).key_id


def unavailable(call: Callable[[], object]) -> bool:
    with pytest.raises(OstiaryError) as caught:
        call()
    return caught.value.reason is Reason.STORE_UNAVAILABLE


async def opened(keys: KmsKeys, sealed: bytes, item: ItemName = ITEM) -> bytes:
    return (await keys.opening(item, sealed)).open(item, sealed)


async def cannot_open(keys: KmsKeys, sealed: bytes) -> Reason:
    with pytest.raises(OstiaryError) as caught:
        await keys.opening(ITEM, sealed)
    return caught.value.reason
