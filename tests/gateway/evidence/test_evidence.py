"""Evidence comes back as it was put, or not at all."""

import errno
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.store.directory_evidence import LARGE, DirectoryEvidence
from ostiary_gateway.store.sealing import (
    HEADER_BYTES,
    MAX_ENVELOPE_BYTES,
    ItemName,
    KeyEncryptionKey,
    KmsKey,
    add_evidence_key,
    create_evidence_key,
    kms_key_of,
    load_evidence_keys,
)

ITEM = ItemName("demo", "check-1", "image-0")
KEY = KeyEncryptionKey(hashlib.sha256(b"test key").digest())
DATA = b"pixels of a T-shirt"
each_way = pytest.mark.parametrize(
    "data", [DATA, DATA * (LARGE // len(DATA) + 1)], ids=["by the process", "by a thread"]
)
"""A small item and a large one, which are written differently."""


@pytest.fixture
async def evidence(tmp_path: Path) -> AsyncIterator[DirectoryEvidence]:
    async with DirectoryEvidence(tmp_path / "evidence", KEY) as store:
        yield store


def only_file(root: Path) -> Path:
    [path] = [path for path in root.rglob("*") if path.is_file()]
    return path


def named(root: Path, name: str) -> list[Path]:
    return [path for path in root.rglob("*") if path.name == name]


@each_way
async def test_put_and_get(evidence: DirectoryEvidence, tmp_path: Path, data: bytes) -> None:
    """An item is read back, by its own name alone; on disk it cannot be read, nor by other users."""
    await evidence.put("demo", "check-1", "image-0", data)
    assert await evidence.get("demo", "check-1", "image-0") == data
    assert await evidence.get("demo", "check-1", "image-1") is None
    assert await evidence.get("other", "check-1", "image-0") is None
    path = only_file(tmp_path)
    assert DATA not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


async def test_what_is_discarded_is_gone(evidence: DirectoryEvidence, tmp_path: Path) -> None:
    """One item alone, and the folder with the last; discarding what is not there does nothing."""
    await evidence.put("demo", "check-1", "image-0", DATA)
    await evidence.put("demo", "check-1", "image-1", DATA)
    await evidence.discard("demo", "check-1", "image-0")
    assert await evidence.get("demo", "check-1", "image-0") is None
    assert await evidence.get("demo", "check-1", "image-1") == DATA
    for _ in range(2):
        await evidence.discard("demo", "check-1", "image-1")
    assert not named(tmp_path, "check-1")


@each_way
async def test_put_again(evidence: DirectoryEvidence, data: bytes) -> None:
    """A retry puts the item anew; nothing half-written remains."""
    await evidence.put("demo", "check-1", "image-0", b"first")
    await evidence.put("demo", "check-1", "image-0", data)
    assert await evidence.get("demo", "check-1", "image-0") == data
    assert only_file(evidence._root).name == "image-0"


@each_way
async def test_a_store_that_was_cleared(evidence: DirectoryEvidence, tmp_path: Path, data: bytes) -> None:
    """Whoever restores a folder under a gateway that runs need not restart it."""
    await evidence.put("demo", "check-1", "image-0", data)
    shutil.rmtree(tmp_path / "evidence")
    await evidence.put("demo", "check-2", "image-0", data)
    assert await evidence.get("demo", "check-1", "image-0") is None
    assert await evidence.get("demo", "check-2", "image-0") == data


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=2000))
def test_sealing(data: bytes) -> None:
    """Any bytes can be sealed and opened; the same ones never look the same twice."""
    sealed = KEY.seal(ITEM, data)
    assert KEY.open(ITEM, sealed) == data
    assert KEY.seal(ITEM, data) != sealed


def test_any_altered_byte_is_seen() -> None:
    """Flip any byte of the file, cut it anywhere, or append to it: it does not open, and says so."""
    sealed = KEY.seal(ITEM, DATA)
    flipped = [sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in range(len(sealed))]
    cut = [sealed[:i] for i in range(len(sealed))]
    for altered in [*flipped, *cut, sealed + b"\0"]:
        with pytest.raises(EvidenceError, match="altered"):
            KEY.open(ITEM, altered)


def test_no_more_is_decrypted_than_a_kms_has_encrypted() -> None:
    """An item that was given a huge envelope is told as altered, before anybody is asked about it."""
    longest = KeyEncryptionKey(b"k" * 32, b"e" * MAX_ENVELOPE_BYTES)
    assert kms_key_of(ITEM, longest.seal(ITEM, DATA)) == KmsKey(longest.id, longest.envelope)
    for length in (0, MAX_ENVELOPE_BYTES + 1):
        sealed = longest.seal(ITEM, DATA)[:HEADER_BYTES] + length.to_bytes(4, "big") + bytes(200_000)
        with pytest.raises(EvidenceError, match="altered"):
            kms_key_of(ITEM, sealed)


@pytest.mark.parametrize(
    "item",
    [
        ItemName("other", "check-1", "image-0"),
        ItemName("demo", "check-2", "image-0"),
        ItemName("demo", "check-1", "image-1"),
        ItemName("democheck-1", "", "image-0"),
    ],
    ids=["tenant", "check", "name", "boundary"],
)
def test_bound_to_its_name(item: ItemName) -> None:
    """A file moved to another tenant, check or name does not open."""
    with pytest.raises(EvidenceError, match="belongs to another item"):
        KEY.open(item, KEY.seal(ITEM, DATA))


async def test_another_key(evidence: DirectoryEvidence, tmp_path: Path) -> None:
    """The message tells a wrong key from altered bytes."""
    await evidence.put("demo", "check-1", "image-0", DATA)
    stranger = DirectoryEvidence(tmp_path / "evidence", create_evidence_key(tmp_path / "other.key"))
    with pytest.raises(EvidenceError, match=f"sealed under the key {KEY.id.hex()}"):
        await stranger.get("demo", "check-1", "image-0")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "a\0b", "é", "a" * 129, "-x"])
async def test_names_stay_inside(evidence: DirectoryEvidence, name: str) -> None:
    """No part of a name can lead out of the folder, or to a file that is not an item."""
    for parts in ((name, "c", "n"), ("t", name, "n"), ("t", "c", name)):
        with pytest.raises(ValueError, match="cannot name evidence"):
            await evidence.put(*parts, DATA)
        with pytest.raises(ValueError, match="cannot name evidence"):
            await evidence.get(*parts)


@each_way
async def test_unwritable(evidence: DirectoryEvidence, tmp_path: Path, data: bytes) -> None:
    """Where nothing can be written or read, the store is unavailable."""
    (tmp_path / "evidence").write_text("a file in the way")
    for call in (evidence.put("t", "c", "n", data), evidence.get("t", "c", "n")):
        with pytest.raises(OstiaryError) as caught:
            await call
        assert caught.value.reason is Reason.STORE_UNAVAILABLE
        assert getattr(caught.value.__cause__, "errno", None) == errno.ENOTDIR


def test_the_key_file(tmp_path: Path) -> None:
    """It is for its owner alone, is read back, is never overwritten, and does not show in messages."""
    path = tmp_path / "evidence.key"
    key = create_evidence_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_evidence_keys(path) == (key,)
    with pytest.raises(FileExistsError):
        create_evidence_key(path)
    assert load_evidence_keys(path) == (key,)
    assert str(key.secret) not in repr(key)


@pytest.mark.parametrize(
    "text", ["", "ostiary-evidence-key-1 AAAA\n", "nonsense\n", "ostiary-evidence-key-1 é"]
)
def test_damaged_key_files(tmp_path: Path, text: str) -> None:
    """The message names the file and what to do."""
    path = tmp_path / "evidence.key"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"evidence\.key is not an evidence key: restore it"):
        load_evidence_keys(path)


def test_damaged_line(tmp_path: Path) -> None:
    """Of several keys, the message names the line of the one that is none."""
    path = tmp_path / "evidence.key"
    create_evidence_key(path)
    path.write_text(path.read_text() + "\nnonsense\n")
    with pytest.raises(ValueError, match=r"evidence\.key, line 3, is not an evidence key"):
        load_evidence_keys(path)


def test_a_new_key_in_the_file(tmp_path: Path) -> None:
    """It stands before the others, or after them; the rights of the file stay, and nothing lies beside."""
    path = tmp_path / "evidence.key"
    first = create_evidence_key(path)
    path.chmod(0o640)
    second = add_evidence_key(path)
    third = add_evidence_key(path, last=True)
    assert load_evidence_keys(path) == (second, first, third)
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", [None, "", "nonsense\n"], ids=["no file", "empty", "another file"])
def test_no_key_to_add_to(tmp_path: Path, text: str | None) -> None:
    """A file that holds no key stays as it is."""
    path = tmp_path / "evidence.key"
    if text is not None:
        path.write_text(text)
    with pytest.raises((OSError, ValueError)):
        add_evidence_key(path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if text is None else [text])
