"""Evidence under keys of a KMS, in a folder and in a bucket."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.fake_kms import FakePlugin, serving
from gateway.kms_stage import new_memory, short_path, started
from ostiary_gateway.evidence import EvidenceError, EvidenceStore
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.key_source import KeySource
from ostiary_gateway.store.s3_evidence import Bucket, S3Evidence
from ostiary_gateway.store.sealing import HEADER_BYTES, ItemName, KeyEncryptionKey

DATA = b"pixels of a T-shirt"
PUTTER = Path(__file__).with_name("endless_kms_putter.py")


@dataclass
class Place:
    """A record, a plug-in at its socket, and somewhere to keep evidence."""

    fake: FakePlugin
    socket: Path
    store: Path
    folder: Path
    bucket: Bucket | None
    stack: AsyncExitStack

    def evidence(self, keys: KeySource) -> EvidenceStore:
        if self.bucket:
            return S3Evidence(self.bucket, keys)
        evidence = DirectoryEvidence(self.folder, keys)
        self.stack.push_async_exit(evidence)
        return evidence


@pytest.fixture(params=["folder", "bucket"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    bucket = None
    if request.param == "bucket":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        url = request.getfixturevalue("s3_server")
        bucket = Bucket("evidence", secrets.token_hex(4), url, plain_http=True)
    fake, store = FakePlugin(), tmp_path / "ostiary.db"
    new_memory(store)
    with short_path() as socket:
        async with serving(fake, socket), AsyncExitStack() as stack:
            yield Place(fake, socket, store, tmp_path / "evidence", bucket, stack)


async def test_two_gateways_a_rotation_and_a_restart(place: Place) -> None:
    """Whatever sealed an item, whoever has the KMS opens it; and no item asks the KMS twice."""
    async with started(place.socket, place.store) as one, started(place.socket, place.store) as other:
        stores = [place.evidence(one), place.evidence(other)]
        await stores[0].put("demo", "check-0", "canonical-0", DATA)
        place.fake.kms.rotate()
        await one.follow()
        await stores[0].put("demo", "check-1", "canonical-0", DATA)
        await stores[1].put("demo", "check-2", "canonical-0", DATA)
        for store in stores:
            for number in range(3):
                assert await store.get("demo", f"check-{number}", "canonical-0") == DATA
    async with started(place.socket, place.store) as again:
        asked = place.fake.asked["Decrypt"]
        for _ in range(3):
            for number in range(3):
                assert await place.evidence(again).get("demo", f"check-{number}", "canonical-0") == DATA
        assert place.fake.asked["Decrypt"] == asked + 3


async def test_old_items_and_new_side_by_side(place: Place) -> None:
    """What a key file sealed stays as it is; without the file it is told apart from what was altered."""
    await place.evidence(KeyEncryptionKey(b"k" * 32)).put("demo", "check-0", "canonical-0", DATA)
    async with started(place.socket, place.store) as keys:
        evidence = place.evidence(keys)
        with pytest.raises(EvidenceError, match=r"name that as evidence\.key, beside evidence\.kms"):
            await evidence.get("demo", "check-0", "canonical-0")
        await evidence.put("demo", "check-0", "canonical-0", DATA)
        assert await evidence.get("demo", "check-0", "canonical-0") == DATA


async def test_shredded(place: Place) -> None:
    """Of one check, and of no other; it comes back in no way, and others stay."""
    async with started(place.socket, place.store) as keys:
        evidence = place.evidence(keys)
        for check_id in ("check-1", "check-2"):
            await evidence.put("demo", check_id, "canonical-0", DATA)
        await evidence.shred("demo", "check-1")
        assert await evidence.get("demo", "check-1", "canonical-0") is None
        assert await evidence.get("demo", "check-2", "canonical-0") == DATA


@pytest.mark.parametrize("place", ["folder"], indirect=True)
async def test_who_has_file_and_kms_cannot_undo_it(place: Place) -> None:
    """A file that was held on to has lost its own key: the KMS gives everything else, to no avail."""
    async with started(place.socket, place.store) as keys:
        evidence = place.evidence(keys)
        await evidence.put("demo", "check-1", "canonical-0", DATA)
        kept = place.folder / "kept"
        os.link(place.folder / "demo" / "check-1" / "canonical-0", kept)
        before = kept.read_bytes()
        await evidence.shred("demo", "check-1")
        after = kept.read_bytes()
        assert after[HEADER_BYTES:] == before[HEADER_BYTES:]
        item = ItemName("demo", "check-1", "canonical-0")
        for guess in (after, before[: HEADER_BYTES - 60] + after[HEADER_BYTES - 60 :]):
            with pytest.raises(EvidenceError):
                (await keys.opening(item, guess)).open(item, guess)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
async def test_killed(place: Place) -> None:
    """A gateway that is killed takes its keys with it, and what it had sealed opens all the same."""
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, PUTTER, place.socket, place.store, place.folder),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        assert await process.stderr.readexactly(10) == b"." * 10
        process.kill()
        await process.communicate()
    async with started(place.socket, place.store) as keys:
        evidence = place.evidence(keys)
        for number in range(10):
            found = await evidence.get("demo", f"check-{number}", "canonical-0")
            assert found is not None
            assert len(found) == 100_000
