"""Evidence in a bucket: the same promises as in a folder, kept by a real S3 server."""

import asyncio
import hashlib
import secrets
import time

import obstore
import pytest
from obstore.store import S3Store

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.settings import EvidenceSettings
from ostiary_gateway.store.s3_evidence import Bucket, S3Evidence
from ostiary_gateway.store.sealing import KeyEncryptionKey

KEY = KeyEncryptionKey(hashlib.sha256(b"test key").digest())
DATA = b"pixels of a T-shirt"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a deployment gives them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")


@pytest.fixture
def bucket(s3_server: str) -> Bucket:
    """A place of its own in the bucket."""
    return Bucket("evidence", secrets.token_hex(4), s3_server, plain_http=True)


@pytest.fixture
def evidence(bucket: Bucket) -> S3Evidence:
    return S3Evidence(bucket, KEY)


def raw(bucket: Bucket) -> dict[str, bytes]:
    """Every object below the prefix, as it lies there."""
    store = S3Store(
        bucket.name,
        prefix=bucket.prefix,
        config={"region": bucket.region, "endpoint": bucket.endpoint or ""},
        client_options={"allow_http": True},
    )
    paths = [str(each["path"]) for each in obstore.list(store).collect()]
    return {path: bytes(obstore.get(store, path).bytes()) for path in paths}


async def test_put_and_get(evidence: S3Evidence, bucket: Bucket) -> None:
    """An item is read back by its own name alone; in the bucket it cannot be read; a retry replaces it."""
    await evidence.check()
    for data in (b"first", DATA):
        await evidence.put("demo", "check-1", "canonical-0", data)
    assert await evidence.get("demo", "check-1", "canonical-0") == DATA
    assert await evidence.get("demo", "check-1", "canonical-1") is None
    assert await evidence.get("other", "check-1", "canonical-0") is None
    objects = raw(bucket)
    assert list(objects) == ["demo/check-1/canonical-0"]
    assert DATA not in objects["demo/check-1/canonical-0"]
    assert await evidence.names("demo", "check-1") == ["canonical-0"]
    with pytest.raises(EvidenceError, match="sealed under the key"):
        await S3Evidence(bucket, KeyEncryptionKey(b"o" * 32)).get("demo", "check-1", "canonical-0")


async def test_discard_and_shred(evidence: S3Evidence, bucket: Bucket) -> None:
    """One item, or all of one check and of no other; what is not there is no matter."""
    for check_id in ("check-1", "check-2", "check-10"):
        for name in ("canonical-0", "blurred-0"):
            await evidence.put("demo", check_id, name, DATA)
    for _ in range(2):
        await evidence.discard("demo", "check-2", "blurred-0")
        await evidence.shred("demo", "check-1")
    assert sorted(raw(bucket)) == [
        "demo/check-10/blurred-0",
        "demo/check-10/canonical-0",
        "demo/check-2/canonical-0",
    ]


@pytest.mark.parametrize("name", ["", "..", "a/b", "é"])
async def test_names_stay_inside(evidence: S3Evidence, name: str) -> None:
    """No part of a name leads to another tenant's items."""
    with pytest.raises(ValueError, match="cannot name evidence"):
        await evidence.put("demo", name, "canonical-0", DATA)
    with pytest.raises(ValueError, match="cannot name evidence"):
        await evidence.shred("demo", name)


async def test_buckets_that_will_not_do(s3_server: str) -> None:
    """One that keeps versions, from which nothing can be erased, and one that is not there."""
    with pytest.raises(ValueError, match="take one without versioning"):
        await S3Evidence(Bucket("versioned", "", s3_server, plain_http=True), KEY).check()
    with pytest.raises(ValueError, match="cannot be kept in the bucket missing"):
        await S3Evidence(Bucket("missing", "", s3_server, plain_http=True), KEY).check()


async def test_a_server_that_is_gone(bucket: Bucket) -> None:
    """It is told, and the event loop goes on meanwhile."""
    gone = S3Evidence(Bucket("evidence", "", "http://127.0.0.1:9", plain_http=True), KEY)
    longest, last = 0.0, time.monotonic()
    put = asyncio.create_task(gone.put("demo", "check-1", "canonical-0", DATA))
    while not put.done():
        await asyncio.sleep(0.01)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    with pytest.raises(OstiaryError) as caught:
        await put
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert longest < 1.0


@pytest.mark.parametrize("given", [{}, {"dir": "e", "s3": {"bucket": "b"}}], ids=["neither", "both"])
def test_settings(given: dict[str, object]) -> None:
    """A folder or a bucket, one of them."""
    with pytest.raises(ValueError, match="name dir or s3, one of them"):
        EvidenceSettings.model_validate({"key": "k", **given})
