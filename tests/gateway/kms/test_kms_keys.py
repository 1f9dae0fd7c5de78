"""Keys by way of a KMS: one call to make one, none to use it; what an outage, a rotation and a restart do."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from bench.fake_kms import FakePlugin, serving
from gateway.kms_stage import (
    DATA,
    ITEM,
    TIMES,
    Gateways,
    cannot_open,
    key_id,
    opened,
    unavailable,
)
from gateway.site import until
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.kms.times import KmsTimes
from ostiary_gateway.store.sealing import HEADER_BYTES, ItemName


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
    others = (await gateways.one()).current().seal(ITEM, DATA)
    assert await opened(keys, others) == DATA
    _unwell(served)
    await keys.follow()
    gateways.clock.now += seconds
    await keys.follow()
    served.healthz = "ok"
    await keys.follow()
    assert keys.unwell_for() == 0
    assert await opened(keys, keys.current().seal(ITEM, DATA)) == DATA
    asked = served.asked["Decrypt"]
    assert [await opened(keys, each) for each in (sealed, others)] == [DATA, DATA]
    assert served.asked["Decrypt"] - asked == (2 if seconds > TIMES.grace else 0), "forgotten, or not"


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


@pytest.mark.parametrize(
    ("failing", "plaintext"),
    [({"Decrypt": grpc.StatusCode.INVALID_ARGUMENT}, None), ({}, b"short"), ({}, b"x" * 32)],
    ids=["refused", "no key", "another key"],
)
async def test_a_key_that_the_kms_does_not_have(
    gateways: Gateways, served: FakePlugin, failing: dict[str, grpc.StatusCode], plaintext: bytes | None
) -> None:
    """It is told as such, and not as an outage that will be over."""
    sealed = (await gateways.one()).current().seal(ITEM, DATA)
    keys = await gateways.one()
    served.failing, served.plaintext = failing, plaintext
    with pytest.raises(EvidenceError, match=r"altered|another KMS"):
        await opened(keys, sealed)
    served.failing, served.plaintext = {}, None
    assert await opened(keys, sealed) == DATA, "what was wrong is not remembered"


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
