"""What follows from an overturn, in a gateway that serves: the seller's picture is allowed, for a time."""

import asyncio
import csv
import shutil
from hashlib import sha256
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from gateway import sights
from gateway.scripted_pod import Script, truthful
from gateway.site import Running, Site
from ostiary.v1.audit_pb2 import (
    CASE_STATE_DECIDED,
    RULING_OVERTURN,
    RULING_UPHOLD,
    DecideCasesRequest,
    EraseCheckRequest,
    GetCaseRequest,
    GetCaseResponse,
    OpenAppealRequest,
)
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.decision_pb2 import ACTION_NOTE, VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_REVIEW, Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.inference_pb2 import InferResponse
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse, GetCheckRequest
from ostiary.v1.observation_pb2 import DetectorInfo, Observations, PdqHash

PDQ = bytes.fromhex("f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22")
NEAR = bytes([PDQ[0] ^ 0b111]) + PDQ[1:]
FAR = bytes(value ^ 0xFF for value in PDQ)


def answer(request: CheckRequest) -> InferResponse:
    """The model sees a QR code in everything; `one` and `two` are of much the same picture."""
    pdq = {b"one": PDQ, b"two": NEAR}.get(request.images[0].data, FAR)
    seen = Observations(
        pdq=[PdqHash(hash=pdq, quality=100)], detectors=[DetectorInfo(name="hashes", completed=True)]
    )
    response = truthful(request, seen)
    response.observations.scores[0].probability = 0.99
    return response


async def check(running: Running, image: bytes, seller: str) -> CheckResponse:
    request = CheckRequest(images=[Image(data=image)], listing=Listing(title="Cup", seller=seller))
    return await running.as_("pipeline").Check(request, timeout=10)


async def rule(running: Running, who: str, check_id: str, ruling: Any, **more: Any) -> Verdict.ValueType:
    asked = DecideCasesRequest(
        check_ids=[check_id], ruling=ruling, internal_reason="it is a pattern, no code", **more
    )
    (outcome,) = (await AuditServiceStub(running.channel(who)).DecideCases(asked, timeout=10)).outcomes
    assert not outcome.error
    return outcome.verdict


async def case(running: Running, check_id: str) -> GetCaseResponse:
    asked = GetCaseRequest(check_id=check_id)
    return await AuditServiceStub(running.channel("auditor")).GetCase(asked, timeout=10)


@pytest.fixture
async def site_(site: Site, script: Script) -> Site:
    script.answer = answer
    return site


async def test_the_seller_s_picture_is_allowed(site_: Site) -> None:
    """At once, for this seller alone; the finding stays as a note that says why, until the time is over."""
    async with site_.start(lists="lists") as running:
        flagged = await check(running, b"one", "anna")
        assert flagged.verdict == VERDICT_REVIEW
        assert await rule(running, "anna", flagged.check_id, RULING_OVERTURN) == VERDICT_ALLOW
        again = await check(running, b"one", "anna")
        assert again.verdict == VERDICT_ALLOW
        [finding] = again.findings
        assert finding.action == ACTION_NOTE
        assert finding.evidence.allowed_by.note == f"check {flagged.check_id} was overturned"
        assert finding.evidence.allowed_by.HasField("expires_at")
        assert (await check(running, b"one", "bert")).verdict == VERDICT_REVIEW
        assert (await check(running, b"other", "anna")).verdict == VERDICT_REVIEW
        assert (await check(running, b"one", "")).verdict == VERDICT_REVIEW


async def test_a_ruling_against_it_ends_it(site_: Site) -> None:
    """Once somebody who leads has ruled against the overturn, the picture is flagged again."""
    async with site_.start(lists="lists") as running:
        flagged = await check(running, b"one", "anna")
        await rule(running, "anna", flagged.check_id, RULING_OVERTURN)
        assert await rule(running, "lead", flagged.check_id, RULING_OVERTURN) == VERDICT_BLOCK
        assert (await check(running, b"one", "anna")).verdict == VERDICT_REVIEW


async def test_without_a_seller_nothing_is_allowed(site_: Site) -> None:
    """An entry without a seller would hold for everybody."""
    async with site_.start(lists="lists") as running:
        flagged = await check(running, b"one", "")
        await rule(running, "anna", flagged.check_id, RULING_OVERTURN)
        assert (await check(running, b"one", "")).verdict == VERDICT_REVIEW
    assert not list((site_.folder / "lists").glob("*.csv"))


async def test_what_a_crash_lost_is_made_good(site_: Site) -> None:
    """The ruling is on record: a gateway that starts without the lists writes them anew."""
    async with site_.start(lists="lists") as running:
        flagged = await check(running, b"one", "anna")
        await rule(running, "anna", flagged.check_id, RULING_OVERTURN, allow_for=Duration(seconds=3600))
    written = {path.name for path in (site_.folder / "lists").glob("*.csv")}
    shutil.rmtree(site_.folder / "lists")
    (site_.folder / "lists").mkdir()
    async with site_.start(lists="lists") as running:
        for _ in range(100):
            if (await check(running, b"one", "anna")).verdict == VERDICT_ALLOW:
                break
            await asyncio.sleep(0.05)
        assert (await check(running, b"one", "anna")).verdict == VERDICT_ALLOW
    assert {path.name for path in (site_.folder / "lists").glob("*.csv")} == written


async def test_a_start_takes_up_what_was_left(site_: Site) -> None:
    """A gateway that starts with lists decides similar cases of a recent overturn anew."""
    async with site_.start() as running:
        flagged, near = await check(running, b"one", "anna"), await check(running, b"two", "anna")
        await rule(running, "anna", flagged.check_id, RULING_OVERTURN)
    async with site_.start(lists="lists") as running:
        for _ in range(100):
            if (await case(running, near.check_id)).summary.verdict == VERDICT_ALLOW:
                break
            await asyncio.sleep(0.05)
        assert (await case(running, near.check_id)).summary.verdict == VERDICT_ALLOW


async def test_similar_cases_are_decided_anew(site_: Site) -> None:
    """The same seller's, of much the same picture, that nobody has in hand; each says because of which."""
    async with site_.start(lists="lists") as running:
        flagged = await check(running, b"one", "anna")
        near, far = await check(running, b"two", "anna"), await check(running, b"other", "anna")
        others = await check(running, b"two", "bert")
        await rule(running, "anna", flagged.check_id, RULING_OVERTURN)
        for _ in range(100):
            if (await case(running, near.check_id)).summary.verdict == VERDICT_ALLOW:
                break
            await asyncio.sleep(0.05)
        shown = await case(running, near.check_id)
        assert (shown.summary.verdict, shown.summary.state) == (VERDICT_ALLOW, CASE_STATE_DECIDED)
        assert [event.kind for event in shown.events] == ["decided", "redecided"]
        assert flagged.check_id in shown.events[1].detail
        assert shown.response.verdict == VERDICT_REVIEW
        for untouched in (far, others):
            assert (await case(running, untouched.check_id)).summary.verdict == VERDICT_REVIEW


async def test_examples_for_calibration(site_: Site) -> None:
    """A settled case leaves picture, question and answer where calibration looks for them."""
    async with site_.start(review={"examples": "examples"}) as running:
        for image, ruling in ((b"one", RULING_OVERTURN), (b"other", RULING_UPHOLD)):
            await rule(running, "anna", (await check(running, image, "anna")).check_id, ruling)
        file = site_.folder / "examples" / "answers.csv"
        for _ in range(100):
            if file.exists() and file.read_text().count("\n") == 3:
                break
            await asyncio.sleep(0.05)
        rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [(row["question"], row["label"]) for row in rows] == [
        (sights.QUESTION[2], "no"),
        (sights.QUESTION[2], "yes"),
    ]
    assert [(file.parent / row["file"]).read_bytes() for row in rows] == [
        b"canonical:one",
        b"canonical:other",
    ]


async def test_a_pipeline_hears_what_stands(site_: Site) -> None:
    """GetCheck gives the answer as it was, the verdict that stands, and what the seller is told."""
    async with site_.start() as running:
        flagged = await check(running, b"one", "anna")
        asked = GetCheckRequest(check_id=flagged.check_id)
        before = await running.as_("pipeline").GetCheck(asked, timeout=10)
        assert (before.verdict, before.reviewer_reason) == (VERDICT_REVIEW, "")
        await rule(running, "anna", flagged.check_id, RULING_UPHOLD, seller_reason="Take the code away.")
        appeal = OpenAppealRequest(check_id=flagged.check_id, statement="It is a pattern")
        await AuditServiceStub(running.channel("pipeline")).OpenAppeal(appeal, timeout=10)
        during = await running.as_("pipeline").GetCheck(asked, timeout=10)
        assert (during.verdict, during.reviewer_reason) == (VERDICT_BLOCK, "Take the code away.")
        await rule(running, "bert", flagged.check_id, RULING_OVERTURN)
        after = await running.as_("pipeline").GetCheck(asked, timeout=10)
        assert (after.verdict, after.reviewer_reason) == (VERDICT_ALLOW, "")
        assert after.response.verdict == VERDICT_REVIEW


async def test_erasure_takes_all_of_it_back(site_: Site) -> None:
    """Neither list nor example nor outbox holds anything of a check that is erased; others stay."""
    async with site_.start(lists="lists", review={"examples": "examples"}) as running:
        gone, stays = await check(running, b"one", "anna"), await check(running, b"other", "bert")
        for flagged in (gone, stays):
            await rule(running, "anna", flagged.check_id, RULING_OVERTURN)
        appealed = await check(running, b"third", "anna")
        appeal = OpenAppealRequest(
            check_id=appealed.check_id, statement="it is mine", callback_uri="https://93.184.215.14/anna"
        )
        await AuditServiceStub(running.channel("pipeline")).OpenAppeal(appeal, timeout=10)
        examples = site_.folder / "examples"
        for _ in range(100):
            if len(list(examples.glob("*-0.png"))) == 2:
                break
            await asyncio.sleep(0.05)
        needles = (b"anna", sha256(b"one").hexdigest().encode(), PDQ.hex().encode(), b"it is mine")
        needles += (gone.check_id.encode(), b"canonical:one")
        for each in (gone, appealed):
            asked = EraseCheckRequest(check_id=each.check_id, reason="Article 17")
            await AuditServiceStub(running.channel("admin")).EraseCheck(asked, timeout=10)
        for path in [*(site_.folder / "lists").iterdir(), *examples.iterdir()]:
            data = path.read_bytes()
            assert not [needle for needle in needles if needle in data], path
        assert [path.name for path in examples.glob("*-0.png")] == [f"{stays.check_id}-0.png"]
        assert (examples / "answers.csv").read_text().count("\n") == 2
        for path in (site_.folder / "data").iterdir():
            data = path.read_bytes()
            assert b"93.184.215.14" not in data
            assert b"it is mine" not in data
        assert (await check(running, b"one", "anna")).verdict == VERDICT_REVIEW
        assert (await check(running, b"other", "bert")).verdict == VERDICT_ALLOW
