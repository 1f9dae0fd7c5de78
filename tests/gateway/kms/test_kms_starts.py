"""What a gateway with a KMS starts with: it waits for what is not there, and refuses what is another's."""

import asyncio
from pathlib import Path

import grpc
import pytest

from bench.fake_kms import FakeKms, FakePlugin, serving
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
from ostiary.wire.errors import Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.store.database import StoreError
from ostiary_gateway.store.key_file import KeyFile
from ostiary_gateway.store.sealing import create_evidence_key, kms_key_of


async def test_a_start_waits(gateways: Gateways, fake: FakePlugin, socket: Path) -> None:
    """For a plug-in that is not there, then for one that is unwell: a side-car may come later."""
    starting = asyncio.create_task(gateways.one())
    await asyncio.sleep(0.1)
    fake.healthz = "no route to the KMS"
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


@pytest.mark.parametrize("old", [b"x" * 32, b"short"])
async def test_a_kms_that_gives_another_key(gateways: Gateways, served: FakePlugin, old: bytes) -> None:
    """One that decrypts what it is given to something else is not the one that encrypted it."""
    await gateways.one()
    served.instead[gateways.ciphertext()] = old
    with pytest.raises(StoreError, match="it gives another key in its place"):
        await gateways.one()


async def test_a_kms_that_is_busy_at_a_start(gateways: Gateways, served: FakePlugin) -> None:
    """Where it does not say whether it has the last key, it is waited for."""
    await gateways.one()
    served.instead[gateways.ciphertext()] = grpc.StatusCode.RESOURCE_EXHAUSTED
    starting = asyncio.create_task(gateways.one())
    asked = served.asked["Status"]
    await until(lambda: served.asked["Status"] > asked + 1)
    assert not starting.done()
    served.instead.clear()
    assert (await starting).current()


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
    gateways.memory.take_file([old.id])
    sealed = old.seal(ITEM, DATA)
    with pytest.raises(StoreError, match=r"of a file: name that as evidence\.key, beside evidence\.kms"):
        await gateways.one()
    keys = await gateways.one(file=KeyFile(path))
    assert await opened(keys, sealed) == DATA
    assert kms_key_of(ITEM, keys.current().seal(ITEM, DATA))
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
    gateways.memory.take_file([old.id])
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
        gateways.memory.take_file([file_id])
    with pytest.raises(EvidenceError, match=r"name it as evidence\.kms"):
        await KeyFile(path).opening(ITEM, sealed)
    gateways.memory.take_file([file_id], new=True)
    gateways.memory.take_file([file_id])


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
