"""Keys by way of a KMS: one call to make one, none to use it; what an outage, a rotation and a restart do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from bench.fake_kms import FakeKms, FakePlugin, serving
from gateway.site import until
from ostiary.v1.evidence_pb2 import WrappedKey
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.kms.keys import KmsKeys
from ostiary_gateway.kms.plugin import KmsPlugin
from ostiary_gateway.kms.times import KmsTimes
from ostiary_gateway.store.database import StoreError
from ostiary_gateway.store.evidence_keys import KeyMemory
from ostiary_gateway.store.key_file import KeyFile
from ostiary_gateway.store.sealing import HEADER_BYTES, ItemName, create_evidence_key, envelope_of

ITEM = ItemName("demo", "check-1", "canonical-0")
DATA = b"pixels of a T-shirt"
TIMES = KmsTimes(poll=30, again=0.01, grace=120, call=5)


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


@pytest.fixture
async def gateways(socket: Path, memory: KeyMemory) -> AsyncIterator[Gateways]:
    async with AsyncExitStack() as stack:
        yield Gateways(stack, socket, memory, Clock())


@pytest.fixture
async def served(fake: FakePlugin, socket: Path) -> AsyncIterator[FakePlugin]:
    async with serving(fake, socket):
        yield fake


def key_id(sealed: bytes) -> str:
    return WrappedKey.FromString(envelope_of(ITEM, sealed)).key_id


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


async def test_no_item_asks_the_kms(gateways: Gateways, served: FakePlugin) -> None:
    """A key is encrypted once, and tried; then items are sealed and opened without a call."""
    keys = await gateways.one()
    asked = served.asked.copy()
    assert asked == {"Status": 1, "Encrypt": 1, "Decrypt": 1}
    for number in range(50):
        item = ItemName("demo", f"check-{number}", "canonical-0")
        assert await opened(keys, keys.current().seal(item, DATA), item) == DATA
    assert served.asked == asked


async def test_after_a_restart(gateways: Gateways, served: FakePlugin) -> None:
    """The next process opens what the last one sealed: of many who wait, one asks, and then nobody."""
    sealed = (await gateways.one()).current().seal(ITEM, DATA)
    again = await gateways.one()
    asked = served.asked["Decrypt"]
    assert await asyncio.gather(*(opened(again, sealed) for _ in range(20))) == [DATA] * 20
    assert await opened(again, sealed) == DATA
    assert served.asked["Decrypt"] == asked + 1
    assert again.current().id != sealed[19:27], "each process has a key of its own"


async def test_two_gateways(gateways: Gateways, served: FakePlugin) -> None:
    """Each opens what the other has sealed."""
    one, other = await gateways.one(), await gateways.one()
    for here, there in ((one, other), (other, one)):
        assert await opened(there, here.current().seal(ITEM, DATA)) == DATA


async def test_the_kms_rotates(gateways: Gateways, served: FakePlugin) -> None:
    """The next question finds it: new items go under the new key, old ones open without a call."""
    keys = await gateways.one()
    before = keys.current().seal(ITEM, DATA)
    new = served.kms.rotate()
    assert key_id(keys.current().seal(ITEM, DATA)) == key_id(before) != new
    await keys.follow()
    after = keys.current().seal(ITEM, DATA)
    assert key_id(after) == new
    asked = served.asked["Decrypt"]
    assert [await opened(keys, each) for each in (before, after)] == [DATA, DATA]
    assert served.asked["Decrypt"] == asked
    assert await opened(await gateways.one(), before) == DATA


async def test_a_key_ages(gateways: Gateways, served: FakePlugin) -> None:
    """A day later there is another, though the KMS has not rotated; until then there is one."""
    keys = await gateways.one()
    first = keys.current()
    gateways.clock.now += TIMES.lifetime - 1
    await keys.follow()
    assert keys.current() == first
    gateways.clock.now += 1
    await keys.follow()
    assert keys.current() != first
    assert served.asked["Encrypt"] == 2


def _unwell(fake: FakePlugin) -> None:
    fake.healthz = "no route to the KMS"


def _another_version(fake: FakePlugin) -> None:
    fake.version = "v3"


def _failing(fake: FakePlugin) -> None:
    fake.failing["Status"] = grpc.StatusCode.INTERNAL


def _cannot_encrypt(fake: FakePlugin) -> None:
    fake.kms.rotate()
    fake.failing["Encrypt"] = grpc.StatusCode.UNKNOWN


def _cannot_decrypt(fake: FakePlugin) -> None:
    fake.kms.rotate()
    fake.failing["Decrypt"] = grpc.StatusCode.PERMISSION_DENIED


def _decrypts_something_else(fake: FakePlugin) -> None:
    fake.kms.rotate()
    fake.plaintext = b"x" * 32


def _half_rotated(fake: FakePlugin) -> None:
    fake.told_key_id = "a key that Encrypt does not use yet"


BROKEN = [
    _unwell,
    _another_version,
    _failing,
    _cannot_encrypt,
    _cannot_decrypt,
    _decrypts_something_else,
    _half_rotated,
]


@pytest.mark.parametrize("damage", BROKEN)
async def test_an_outage(
    gateways: Gateways, served: FakePlugin, damage: Callable[[FakePlugin], None]
) -> None:
    """The old key is good for the grace; then nothing is sealed or opened, and no key is left in memory."""
    keys = await gateways.one()
    key = keys.current()
    sealed = key.seal(ITEM, DATA)
    damage(served)
    failed_at = gateways.clock.now
    while gateways.clock.now < failed_at + TIMES.grace:
        await keys.follow()
        assert keys.current() == key
        assert await opened(keys, sealed) == DATA
        gateways.clock.now += 10
    assert keys.unwell_for() == TIMES.grace
    assert unavailable(keys.current)
    assert await cannot_open(keys, sealed) is Reason.STORE_UNAVAILABLE
    await keys.follow()
    assert keys._in_force is None
    assert unavailable(keys.current)


@pytest.mark.parametrize("seconds", [1.0, 1000.0], ids=["within the grace", "after it"])
async def test_it_goes_on_by_itself(gateways: Gateways, served: FakePlugin, seconds: float) -> None:
    """Once the plug-in is well again; what was sealed before opens."""
    keys = await gateways.one()
    sealed = keys.current().seal(ITEM, DATA)
    _unwell(served)
    await keys.follow()
    gateways.clock.now += seconds
    await keys.follow()
    served.healthz = "ok"
    await keys.follow()
    assert keys.unwell_for() == 0
    assert await opened(keys, keys.current().seal(ITEM, DATA)) == DATA
    assert await opened(keys, sealed) == DATA


async def test_a_plugin_that_is_restarted(gateways: Gateways, fake: FakePlugin, socket: Path) -> None:
    """Its socket goes and comes: it is asked again and again, and found."""
    times = KmsTimes(poll=0.01, again=0.01, grace=0, call=5)
    async with serving(fake, socket):
        keys = await gateways.one(times=times)
        sealed = keys.current().seal(ITEM, DATA)
        running = asyncio.create_task(keys.run())
    await until(lambda: keys.unwell_for() > 0 or keys._in_force is None)
    assert unavailable(keys.current)
    async with serving(fake, socket):
        await until(lambda: keys._in_force is not None)
        assert await opened(keys, sealed) == DATA
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_kms_that_is_not_asked_any_more(gateways: Gateways, served: FakePlugin) -> None:
    """Where whatever asks is stuck, keys end as in an outage."""
    keys = await gateways.one()
    gateways.clock.now += TIMES.quiet + TIMES.grace
    assert unavailable(keys.current)


async def test_an_old_key_while_the_kms_is_busy(gateways: Gateways, served: FakePlugin) -> None:
    """An item whose key is not in memory cannot be opened now; the next call finds it."""
    sealed = (await gateways.one()).current().seal(ITEM, DATA)
    keys = await gateways.one()
    served.failing["Decrypt"] = grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await cannot_open(keys, sealed) is Reason.STORE_UNAVAILABLE
    served.failing.clear()
    assert await opened(keys, sealed) == DATA


async def test_one_of_those_who_wait_goes_away(gateways: Gateways, served: FakePlugin) -> None:
    """The others get the answer that it had asked for."""
    sealed = (await gateways.one()).current().seal(ITEM, DATA)
    keys = await gateways.one()
    first, second = (asyncio.create_task(opened(keys, sealed)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == DATA


async def test_altered(gateways: Gateways, served: FakePlugin) -> None:
    """Flip any byte of an item, cut it or add to it: it does not open, here or in another process."""
    keys = await gateways.one()
    sealed = keys.current().seal(ITEM, DATA)
    other = await gateways.one()
    flipped = [sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in range(len(sealed))]
    cut = [sealed[:i] for i in range(0, len(sealed), 7)]
    for altered in [*flipped, *cut, sealed + b"\0"]:
        for each in (keys, other):
            with pytest.raises((EvidenceError, OstiaryError)):
                await opened(each, altered)
    for item in (ItemName("other", "check-1", "canonical-0"), ItemName("demo", "check-1", "canonical-1")):
        with pytest.raises(EvidenceError, match="belongs to another item"):
            await opened(keys, sealed, item)


async def test_without_its_own_key(gateways: Gateways, served: FakePlugin) -> None:
    """An item whose head was overwritten does not open, though the KMS gives everything that it has."""
    keys = await gateways.one()
    sealed = keys.current().seal(ITEM, DATA)
    known = sealed[: HEADER_BYTES - 60]
    for shredded in (bytes(HEADER_BYTES), known + bytes(60)):
        with pytest.raises(EvidenceError):
            await opened(keys, shredded + sealed[HEADER_BYTES:])


async def test_memory_is_bounded(
    gateways: Gateways, served: FakePlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys used last are kept; an older one is asked for again."""
    monkeypatch.setattr("ostiary_gateway.kms.opened.MOST_KEYS", 2)
    sealed = [(await gateways.one()).current().seal(ITEM, DATA) for _ in range(3)]
    keys = await gateways.one()
    asked = served.asked["Decrypt"]
    for each in (0, 1, 0, 2, 0, 1):
        assert await opened(keys, sealed[each]) == DATA
    assert served.asked["Decrypt"] == asked + 4  # 0, 1, 2, and 1 again


async def test_a_start_waits(gateways: Gateways, fake: FakePlugin, socket: Path) -> None:
    """For a plug-in that is not there, then for one that is unwell: a side-car may come later."""
    starting = asyncio.create_task(gateways.one())
    await asyncio.sleep(0.1)
    _unwell(fake)
    async with serving(fake, socket):
        await until(lambda: fake.asked["Status"] > 1)
        assert not starting.done()
        fake.healthz = "ok"
        assert (await starting).current()


@pytest.mark.parametrize("method", ["Status", "Encrypt", "Decrypt"])
async def test_a_start_waits_for_each_call(gateways: Gateways, served: FakePlugin, method: str) -> None:
    """Nothing is taken for there that has not answered."""
    served.failing[method] = grpc.StatusCode.UNKNOWN
    starting = asyncio.create_task(gateways.one())
    await until(lambda: served.asked[method] > 1)
    assert not starting.done()
    served.failing.clear()
    assert (await starting).current()


async def test_a_plugin_for_another_version(gateways: Gateways, served: FakePlugin) -> None:
    """It is not waited for: the settings are wrong."""
    served.version = "v1beta1"
    with pytest.raises(ValueError, match=r"evidence\.kms: .* speaks version 'v1beta1'"):
        await gateways.one()


async def test_another_kms(gateways: Gateways, served: FakePlugin) -> None:
    """One that does not give the last key back is refused, unless it is said that the old one is lost."""
    await gateways.one()
    lost, served.kms = served.kms, FakeKms()
    with pytest.raises(StoreError, match=r"point evidence\.kms at its plug-in; if it is lost for good, set"):
        await gateways.one()
    await gateways.one(new=True)
    await gateways.one()
    served.kms = lost
    with pytest.raises(StoreError, match="does not give back"):
        await gateways.one()


async def test_another_kms_under_a_running_gateway(gateways: Gateways, served: FakePlugin) -> None:
    """It is no rotation: nothing is sealed under it, until it is the right one again."""
    keys = await gateways.one()
    before = keys.current()
    right, served.kms = served.kms, FakeKms({"another": b"k" * 32})
    await keys.follow()
    assert keys.current() == before
    gateways.clock.now += TIMES.grace
    for _ in range(2):
        await keys.follow()
        assert unavailable(keys.current)
    served.kms = right
    await keys.follow()
    assert key_id(keys.current().seal(ITEM, DATA)) == right.key_id


async def test_the_last_key_counts(gateways: Gateways, served: FakePlugin) -> None:
    """A KMS that has thrown an old version away is the same KMS still."""
    keys = await gateways.one()
    old = served.kms.key_id
    served.kms.rotate()
    await keys.follow()
    del served.kms.keys[old]
    assert (await gateways.one()).current()


async def test_from_a_key_file_to_a_kms(gateways: Gateways, served: FakePlugin, tmp_path: Path) -> None:
    """With the file beside the KMS, what it sealed is read and nothing more is sealed under it."""
    path = tmp_path / "evidence.key"
    old = create_evidence_key(path)
    gateways.memory.take_file(old.id)
    sealed = old.seal(ITEM, DATA)
    with pytest.raises(StoreError, match=r"of a file: name that as evidence\.key, beside evidence\.kms"):
        await gateways.one()
    keys = await gateways.one(file=KeyFile(path))
    assert await opened(keys, sealed) == DATA
    assert envelope_of(ITEM, keys.current().seal(ITEM, DATA))
    create_evidence_key(tmp_path / "other.key")
    with pytest.raises(StoreError, match="restore that one"):
        await gateways.one(file=KeyFile(tmp_path / "other.key"))
    path.unlink()
    assert await cannot_open(keys, sealed) is Reason.STORE_UNAVAILABLE
    assert keys.current(), "what is sealed now does not need the file"


async def test_when_the_file_is_not_needed_any_more(
    gateways: Gateways, served: FakePlugin, tmp_path: Path
) -> None:
    """Said once, it is not asked for again."""
    old = create_evidence_key(tmp_path / "evidence.key")
    gateways.memory.take_file(old.id)
    await gateways.one(new=True)
    keys = await gateways.one()
    with pytest.raises(EvidenceError, match=r"name that as evidence\.key"):
        await keys.opening(ITEM, old.seal(ITEM, DATA))


async def test_from_a_kms_to_a_key_file(gateways: Gateways, served: FakePlugin, tmp_path: Path) -> None:
    """A gateway with a file alone is refused, and says of an item what it would need."""
    sealed = (await gateways.one()).current().seal(ITEM, DATA)
    path = tmp_path / "evidence.key"
    file_id = create_evidence_key(path).id
    with pytest.raises(StoreError, match=r"set evidence\.kms"):
        gateways.memory.take_file(file_id)
    with pytest.raises(EvidenceError, match=r"name it as evidence\.kms"):
        await KeyFile(path).opening(ITEM, sealed)
    gateways.memory.take_file(file_id, new=True)
    gateways.memory.take_file(file_id)


async def test_a_rotation_that_is_not_remembered(
    gateways: Gateways, served: FakePlugin, tmp_path: Path
) -> None:
    """No key is used that the record does not know of: it would be taken for another KMS's later."""
    keys = await gateways.one()
    before = keys.current()
    served.kms.rotate()
    store = tmp_path / "ostiary.db"
    store.rename(tmp_path / "away.db")
    await keys.follow()
    assert keys.current() == before
    (tmp_path / "away.db").rename(store)
    await keys.follow()
    assert keys.current() != before


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def test_keys_are_in_memory_alone(gateways: Gateways, served: FakePlugin, tmp_path: Path) -> None:
    """No file of the record holds one, nor what the KMS calls its own."""
    keys = await gateways.one()
    served.kms.rotate()
    await keys.follow()
    gateways.memory.known()
    assert len(served.seen) == 2
    files = contents(tmp_path)
    for secret in (*served.seen, *served.kms.keys.values(), keys.current().secret):
        assert not any(secret in data for data in files)
        assert secret.hex() not in repr(keys.current())
    assert any(keys.current().envelope in data for data in files)
