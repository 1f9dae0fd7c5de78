"""Reuse as callers meet it: over mutual TLS, with the real record and evidence behind it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from gateway import sights
from gateway.scripted_pod import Script, canonical_bytes, truthful
from gateway.site import Running, Site
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.inference_pb2 import InferResponse
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse, GetCanonicalImageRequest
from ostiary.v1.observation_pb2 import Description, Observations

SAID = Observations(description=Description(text="A cup.", language="en"))


@pytest.fixture
async def script() -> Script:
    """A pod that says what it holds."""
    return Script(answer=lambda check: truthful(check, SAID), holds=sights.clean())


async def known(running: Running, script: Script) -> None:
    """Wait until the gateway has heard what the pod holds."""
    for _ in range(500):
        if script.gallery.asked:
            await asyncio.sleep(0.05)
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the pod was never asked what it holds")


@pytest.fixture
async def running(site: Site, script: Script) -> AsyncIterator[Running]:
    async with site.start() as gateway:
        await known(gateway, script)
        yield gateway


def request(key: str = "", title: str = "Cup") -> CheckRequest:
    return CheckRequest(idempotency_key=key, images=[Image(data=b"image")], listing=Listing(title=title))


async def check(running: Running, sent: CheckRequest, who: str = "pipeline") -> CheckResponse:
    answer: CheckResponse = await running.as_(who).Check(sent, timeout=10)
    return answer


def evidence_of(site: Site, answer: CheckResponse) -> Path:
    """The file of the check's one image."""
    [item] = (site.folder / "evidence").rglob(f"{answer.check_id}/canonical-0")
    return item


async def canonical(running: Running, check_id: str) -> bytes:
    call = running.as_("pipeline").GetCanonicalImage(GetCanonicalImageRequest(check_id=check_id), timeout=10)
    return b"".join([part.data async for part in call])


async def test_identical_work_is_not_looked_at_twice(running: Running, script: Script) -> None:
    """A check of its own, with its own place in the log; the receipt says whose observations it is on."""
    first = await check(running, request("a"))
    second = await check(running, request("b"))
    assert len(script.asked) == 1
    assert not first.receipt.HasField("reused")
    assert second.receipt.reused.check_id == first.check_id
    assert second.receipt.reused.looked_at == first.receipt.decided_at
    assert (second.check_id, second.receipt.log_index) != (first.check_id, first.receipt.log_index)
    assert (second.verdict, second.description, second.replayed) == (first.verdict, first.description, False)
    assert second.receipt.bundle == first.receipt.bundle
    assert await canonical(running, second.check_id) == canonical_bytes(b"image")
    third = await check(running, request("c"))
    assert third.receipt.reused.check_id == first.check_id, (
        "the check that was looked at, not the one between"
    )


async def test_policy_is_never_reused(running: Running, script: Script, site: Site) -> None:
    """A policy that changes between the two decides the second; its receipt names that policy."""
    first = await check(running, request("a"))
    stricter = (site.folder / "policy.yaml").read_text("utf-8").replace("threshold: 0.5", "threshold: 0.4")
    (site.folder / "policy.yaml").write_text(stricter.replace('version: "1"', 'version: "2"', 1), "utf-8")
    second = first
    for number in range(300):
        if second.receipt.policy == "default@2":
            break
        await asyncio.sleep(0.02)
        second = await check(running, request(f"b{number}"))
    assert second.receipt.policy == "default@2"
    assert second.receipt.policy_sha256 != first.receipt.policy_sha256
    assert len(script.asked) == 1


async def test_another_tenant_is_looked_at_for(running: Running, script: Script) -> None:
    """Nothing of one tenant's reaches another."""
    await check(running, request("a"))
    other = await check(running, request("a"), "stranger")
    assert len(script.asked) == 2
    assert not other.receipt.HasField("reused")


async def test_a_caller_without_the_right_learns_nothing(running: Running, script: Script) -> None:
    """Authorisation comes first, whatever is kept."""
    await check(running, request("a"))
    with pytest.raises(Exception, match="PERMISSION_DENIED"):
        await check(running, request("a"), "auditor")


@pytest.mark.parametrize("damage", ["OCR failed", "a fault", "an answer missing"])
async def test_a_failure_is_never_remembered(running: Running, script: Script, damage: str) -> None:
    """What could not be judged is looked at again, and then kept."""

    def damaged(sent: CheckRequest) -> InferResponse:
        found = truthful(sent, SAID)
        if damage == "a fault":
            found.observations.faults.add(image_index=0, code="unreadable")
            del found.observations.images[:]
            del found.canonical[:]
        else:
            sights.DAMAGES[damage](found.observations)
        return found

    script.answer = damaged
    assert (await check(running, request("a"))).verdict == Verdict.VERDICT_HOLD
    script.answer = lambda sent: truthful(sent, SAID)
    again = await check(running, request("b"))
    assert (again.verdict, again.receipt.HasField("reused")) == (Verdict.VERDICT_ALLOW, False)
    assert (await check(running, request("c"))).receipt.reused.check_id == again.check_id


async def test_a_pod_that_answers_otherwise_than_it_says_is_not_kept(
    running: Running, script: Script
) -> None:
    """A bundle that was swapped between two questions: its answer stands for itself alone."""

    def swapped(sent: CheckRequest) -> InferResponse:
        found = truthful(sent, SAID)
        found.observations.bundle.digest = b"e" * 32
        return found

    script.answer = swapped
    await check(running, request("a"))
    assert not (await check(running, request("b"))).receipt.HasField("reused")
    assert len(script.asked) == 2


async def test_erased_evidence_is_not_taken_over(running: Running, script: Script, site: Site) -> None:
    """Whichever process erased it: without the canonical bytes a pod looks again."""
    first = await check(running, request("a"))
    item = evidence_of(site, first)
    item.unlink()
    second = await check(running, request("b"))
    assert not second.receipt.HasField("reused")
    assert len(script.asked) == 2


async def test_altered_evidence_is_not_taken_over(running: Running, script: Script, site: Site) -> None:
    """What does not open under its key is no evidence."""
    first = await check(running, request("a"))
    item = evidence_of(site, first)
    sealed = item.read_bytes()
    item.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert not (await check(running, request("b"))).receipt.HasField("reused")


async def test_mirrors_are_not_compared_with_what_was_reused(site: Site, script: Script) -> None:
    """A copy goes out with each look, and with nothing else."""
    route = {"mirrors": [{"version": "next", "share": 10_000}]}
    pods = [{"address": address, "serverName": "pod.ostiary.local"} for address in _addresses(site)]
    versions = [
        {"name": "local", "weight": 10_000, "endpoints": pods},
        {"name": "next", "weight": 0, "endpoints": pods},
    ]
    site.write("route.yaml", {"name": "default", "versions": versions, **route})
    async with site.start() as running:
        await known(running, script)
        await check(running, request("a"))
        for _ in range(200):
            if len(script.asked) == 2:
                break
            await asyncio.sleep(0.01)
        assert (await check(running, request("b"))).receipt.HasField("reused")
        await asyncio.sleep(0.1)
    assert len(script.asked) == 2, "the look and its copy; none for the check that took it over"


async def test_it_can_be_left_out(site: Site, script: Script) -> None:
    """`reuse: null`: every check is looked at, and pods are not asked what they hold."""
    async with site.start(reuse=None) as running:
        for key in "ab":
            assert not (await check(running, request(key))).receipt.HasField("reused")
    assert (len(script.asked), script.gallery.asked) == (2, 0)


async def test_a_pod_that_does_not_say_what_it_holds(site: Site, script: Script) -> None:
    """Without its digests nothing is reused."""
    script.holds = None
    async with site.start() as running:
        await known(running, script)
        for key in "ab":
            assert not (await check(running, request(key))).receipt.HasField("reused")


def _addresses(site: Site) -> list[str]:
    route = yaml.safe_load((site.folder / "route.yaml").read_text("utf-8"))
    return [pod["address"] for pod in route["versions"][0]["endpoints"]]
