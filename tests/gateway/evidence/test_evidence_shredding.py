"""Evidence that is destroyed stays destroyed, and what was being written leaves nothing."""

import asyncio
import hashlib
import os
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.store import directory_evidence
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.sealing import HEADER_BYTES, ItemName, KeyEncryptionKey

KEY = KeyEncryptionKey(hashlib.sha256(b"test key").digest())
PUTTER = Path(__file__).with_name("endless_putter.py")


@pytest.fixture
async def evidence(tmp_path: Path) -> AsyncIterator[DirectoryEvidence]:
    async with DirectoryEvidence(tmp_path, KEY) as store:
        yield store


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def put_all(evidence: DirectoryEvidence, check_id: str = "check-1") -> None:
    for name in ("canonical-0", "blurred-0", "request"):
        await evidence.put("demo", check_id, name, b"pixels")


async def test_shredding_takes_all_of_one_check(evidence: DirectoryEvidence, tmp_path: Path) -> None:
    """Every item of it and nothing of another's; again, or of a check without evidence, it does nothing."""
    await put_all(evidence)
    await put_all(evidence, "check-2")
    for check_id in ("check-1", "check-1", "never"):
        await evidence.shred("demo", check_id)
    assert not (tmp_path / "demo" / "check-1").exists()
    assert await evidence.get("demo", "check-1", "canonical-0") is None
    assert await evidence.get("demo", "check-2", "canonical-0") == b"pixels"


async def test_two_may_shred_at_once(evidence: DirectoryEvidence, tmp_path: Path) -> None:
    """Gateways over one folder, at the same checks: neither stumbles over what the other has done."""
    other, checks = DirectoryEvidence(tmp_path, KEY), [f"check-{number}" for number in range(50)]
    for check_id in checks:
        await put_all(evidence, check_id)
    await asyncio.gather(
        *(store.shred("demo", check_id) for check_id in checks for store in (evidence, other))
    )
    assert files_below(tmp_path) == []


async def test_keys_go_before_files(evidence: DirectoryEvidence, tmp_path: Path) -> None:
    """Whoever holds on to the files, by a hard link or an undelete, cannot open one under the right key."""
    await put_all(evidence)
    links = []
    for path in sorted((tmp_path / "demo" / "check-1").iterdir()):
        links.append((path.name, tmp_path / f"link-{path.name}"))
        os.link(path, links[-1][1])
    before = [link.read_bytes() for _, link in links]
    await evidence.shred("demo", "check-1")
    for (name, link), was in zip(links, before, strict=True):
        sealed = link.read_bytes()
        assert sealed[HEADER_BYTES:] == was[HEADER_BYTES:], "only the key need go"
        # The rest of the file's head is known to everybody: it does not bring the key back.
        for guess in (sealed, was[: HEADER_BYTES - 60] + sealed[HEADER_BYTES - 60 :]):
            with pytest.raises(EvidenceError):
                KEY.open(ItemName("demo", "check-1", name), guess)


async def test_a_shredding_that_was_cut_short_is_finished(
    evidence: DirectoryEvidence, tmp_path: Path
) -> None:
    """Killed after any step, the same call does what is left."""
    for left in (0, 1, 2, 3):
        await put_all(evidence)
        files = sorted((tmp_path / "demo" / "check-1").iterdir())
        for path in files[:left]:
            directory_evidence._destroy_key(path)
        for path in files[: max(0, left - 1)]:
            path.unlink()
        await evidence.shred("demo", "check-1")
        assert not (tmp_path / "demo" / "check-1").exists()


async def test_a_disk_that_fails_is_told(evidence: DirectoryEvidence, tmp_path: Path) -> None:
    """What could not be destroyed is never taken for destroyed."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "check-1").write_text("a file in the way")
    with pytest.raises(OstiaryError) as caught:
        await evidence.shred("demo", "check-1")
    assert caught.value.reason is Reason.STORE_UNAVAILABLE


@pytest.mark.parametrize("name", ["..", "a/b", "", "*"])
async def test_only_a_check_can_be_shredded(evidence: DirectoryEvidence, tmp_path: Path, name: str) -> None:
    """No name leads to another check's folder, or out of the evidence."""
    await put_all(evidence)
    for parts in ((name, "check-1"), ("demo", name)):
        with pytest.raises(ValueError, match="cannot name evidence"):
            await evidence.shred(*parts)
    assert await evidence.get("demo", "check-1", "request") == b"pixels"


async def test_killed_in_the_middle_of_writing(tmp_path: Path) -> None:
    """Kill, then look: there are whole items and nothing else, however often."""
    rng = random.Random(6)
    for _ in range(5):
        process = await asyncio.create_subprocess_exec(
            sys.executable, PUTTER, tmp_path, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readexactly(rng.randrange(8, 60))
        process.kill()
        await process.stdout.read()
        await process.wait()
        left = files_below(tmp_path)
        assert left
        assert {path.name for path in left} <= {"canonical-0", "canonical-1", "canonical-2"}
        for path in left:
            item = ItemName("demo", path.parent.name, path.name)
            assert len(KeyEncryptionKey(bytes(32)).open(item, path.read_bytes())) == 300_000
