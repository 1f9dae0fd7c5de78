"""Hash lists in a gateway that serves, over mutual TLS."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from gateway.hashes import lists
from gateway.scripted_pod import Script, canonical_bytes, truthful
from gateway.site import Running, Site
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse
from ostiary.v1.observation_pb2 import DetectorInfo, Observations, PdqHash

PDQ = bytes.fromhex("f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22")
HASHED = Observations(
    pdq=[PdqHash(hash=PDQ, quality=100)], detectors=[DetectorInfo(name="hashes", completed=True)]
)
EXACT = hashlib.sha256(canonical_bytes(b"image")).hexdigest()


def write(folder: Path, name: str, hash_: str, **more: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.csv").write_bytes(lists.rows([{"hash": hash_}]))
    (folder / f"{name}.yaml").write_bytes(lists.header(name=name, **more))


async def check(running: Running) -> CheckResponse:
    request = CheckRequest(images=[Image(data=b"image")], listing=Listing(title="Cup"))
    return await running.as_("pipeline").Check(request, timeout=10)


async def test_a_list_is_taken_up_while_it_runs(site: Site, script: Script) -> None:
    """An image is blocked a second after its hash was put on a list, and the receipt says under which."""
    script.answer = lambda request: truthful(request, HASHED)
    async with site.start(lists="lists") as running:
        before = await check(running)
        assert before.verdict == Verdict.VERDICT_ALLOW
        write(site.folder / "lists", "fakes", PDQ.hex())
        for _ in range(100):
            after = await check(running)
            if after.verdict != Verdict.VERDICT_ALLOW:
                break
            await asyncio.sleep(0.2)
    assert after.verdict == Verdict.VERDICT_BLOCK
    [finding] = after.findings
    assert (finding.source, finding.evidence.known_image.list) == ("pdq", "fakes@1")
    assert after.receipt.policy == before.receipt.policy
    assert after.receipt.policy_sha256 != before.receipt.policy_sha256


async def test_a_pod_without_hashes_is_no_way_around_a_list(site: Site, script: Script) -> None:
    """What cannot be looked up is held; exact lists need no detector."""
    write(site.folder / "lists", "fakes", PDQ.hex())
    async with site.start(lists="lists") as running:
        answer = await check(running)
    assert answer.verdict == Verdict.VERDICT_HOLD
    assert "Not looked up in fakes" in answer.hold_reasons[0].detail
    write(site.folder / "lists", "fakes", EXACT, kind="HASH_KIND_SHA256")
    async with site.start(lists="lists") as running:
        assert (await check(running)).verdict == Verdict.VERDICT_BLOCK


async def test_a_bad_list_keeps_a_gateway_from_starting(site: Site) -> None:
    """The message says which file, which line and why."""
    write(site.folder / "lists", "fakes", "abc")
    with pytest.raises(ValueError, match=r"fakes\.csv:2: hash: 3 characters"):
        async with site.start(lists="lists"):
            pass
