"""The file of the key-encryption keys, which is followed."""

from pathlib import Path

import pytest

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.store.key_file import KeyFile
from ostiary_gateway.store.sealing import ItemName, add_evidence_key, create_evidence_key

ITEM = ItemName("demo", "check-1", "image-0")
DATA = b"pixels of a T-shirt"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "evidence.key"


async def opened(keys: KeyFile, sealed: bytes) -> bytes:
    return (await keys.opening(ITEM, sealed)).open(ITEM, sealed)


def take_out_all_but_the_first(path: Path) -> None:
    path.write_text(path.read_text().splitlines(keepends=True)[0])


def replace(path: Path, text: str | None) -> str:
    """Put another text in the file's place, or nothing; what it was."""
    kept = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    return kept


def another(path: Path) -> str:
    """The text of a file with another key."""
    create_evidence_key(path.with_name("other.key"))
    return path.with_name("other.key").read_text()


async def test_rotation(path: Path) -> None:
    """The first key of the file is sealed under as soon as it is there; all of them open."""
    create_evidence_key(path)
    keys = KeyFile(path)
    before = keys.current().seal(ITEM, DATA)
    new = add_evidence_key(path)
    assert keys.current() == new
    after = keys.current().seal(ITEM, DATA)
    for source in (keys, KeyFile(path)):
        assert [await opened(source, sealed) for sealed in (before, after)] == [DATA, DATA]
        assert source.ids[0] == new.id


async def test_opens_before_it_seals(path: Path) -> None:
    """A key behind the first opens what another gateway has sealed under it, and seals nothing."""
    old = create_evidence_key(path)
    keys = KeyFile(path)
    new = add_evidence_key(path, last=True)
    assert await opened(keys, new.seal(ITEM, DATA)) == DATA
    assert keys.current() == old


async def test_an_old_key_is_taken_out(path: Path) -> None:
    """What was sealed under it is refused by the name of its key; the rest goes on."""
    old = create_evidence_key(path)
    new = add_evidence_key(path)
    keys = KeyFile(path)
    sealed = old.seal(ITEM, DATA)
    take_out_all_but_the_first(path)
    assert keys.current() == new
    with pytest.raises(
        EvidenceError, match=f"sealed under the key {old.id.hex()}.*give the gateway that key"
    ):
        await opened(keys, sealed)


@pytest.mark.parametrize(
    "text", [None, "", "nonsense\n", "another"], ids=["gone", "empty", "damaged", "another"]
)
async def test_without_the_key_that_is_sealed_under(path: Path, text: str | None) -> None:
    """Nothing is sealed or opened while the file has not got it; with it back, all goes on."""
    key = create_evidence_key(path)
    keys = KeyFile(path)
    kept = replace(path, another(path) if text == "another" else text)
    for _ in range(2):
        with pytest.raises(OstiaryError) as caught:
            keys.current()
        assert caught.value.reason is Reason.STORE_UNAVAILABLE
    with pytest.raises(OstiaryError):
        await keys.opening(ITEM, key.seal(ITEM, DATA))
    replace(path, kept)
    assert keys.current() == key
