"""Erasure over mutual TLS: nothing of a check is left but the log and its tombstone."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from gateway import sights
from gateway.review.conftest import events_on_record
from gateway.scripted_pod import Script, canonical_bytes, truthful
from gateway.site import Running, Site, until
from ostiary.cli.audit.locate import locate
from ostiary.cli.audit.verify import Audit, Verified
from ostiary.tlog.checkpoint import open_checkpoint
from ostiary.tlog.keys import load_verifier_key
from ostiary.tlog.merkle import verify_inclusion
from ostiary.v1.audit_pb2 import (
    EraseCheckRequest,
    EraseCheckResponse,
    GetCaseRequest,
    GetEvidenceRequest,
    GetInclusionProofRequest,
    SearchCasesRequest,
)
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.image_pb2 import Image
from ostiary.v1.inference_pb2 import InferResponse
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import (
    CheckRequest,
    CheckResponse,
    GetCanonicalImageRequest,
    GetCheckRequest,
    SubmitRequest,
)
from ostiary.v1.observation_pb2 import Observations, OcrSpan
from ostiary.v1.record_pb2 import EventComment, EventHold, EventRecord
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error
from ostiary_gateway.store.opening import open_recorder

if TYPE_CHECKING:
    from ostiary.v1.audit_pb2_grpc import AuditServiceAsyncStub

RAW = b"\x89 a face"
PERSONAL = CheckRequest(
    idempotency_key="order-of-anna-4711",
    images=[Image(data=RAW, name="anna.jpg")],
    listing=Listing(
        title="Jacket of Anna Example",
        description="Call Anna on 555 0199",
        seller="anna-example",
        claimed_brand="Annabrand",
    ),
)
READ = "tel 555 0199 anna"


@pytest.fixture
async def script() -> Script:
    """A pod that reads something personal, and says what it holds."""

    def read(check: CheckRequest) -> InferResponse:
        spans = [OcrSpan(text=READ, confidence=0.9)] if check.images[0].data == RAW else []
        return truthful(check, Observations(ocr=spans))

    return Script(answer=read, holds=sights.clean())


async def checked(running: Running, sent: CheckRequest = PERSONAL) -> CheckResponse:
    answer: CheckResponse = await running.as_("pipeline").Check(sent, timeout=10)
    return answer


def desk(running: Running, who: str = "admin") -> "AuditServiceAsyncStub":
    stub: AuditServiceAsyncStub = AuditServiceStub(running.channel(who))
    return stub


async def erase(running: Running, check_id: str, reason: str = "Article 17") -> EraseCheckResponse:
    request = EraseCheckRequest(check_id=check_id, reason=reason)
    answer: EraseCheckResponse = await desk(running).EraseCheck(request, timeout=20)
    return answer


async def refused(call: Any) -> OstiaryError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def needles(request: CheckRequest = PERSONAL) -> dict[str, bytes]:
    """What must not be found once the check is erased: texts, and hashes to hold a guess against."""
    sent = request.SerializeToString()
    return {
        "key": b"order-of-anna",
        "title": b"Jacket of Anna",
        "seller": b"anna-example",
        "searched text": b"jacket of anna",
        "read": b"555 0199",
        "image": hashlib.sha256(RAW).digest(),
        "canonical": hashlib.sha256(canonical_bytes(RAW)).digest(),
        "request": hashlib.sha256(sent).digest(),
    }


def left(folder: Path, wanted: dict[str, bytes]) -> dict[str, list[str]]:
    """In which files each is found."""
    files = [(path.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    return {what: where for what, needle in wanted.items() if (where := [n for n, d in files if needle in d])}


async def audited(site: Site) -> Verified:
    """What an audit finds in order, while the gateway goes on."""
    target = locate(site.folder.parent, None, None)
    audit = Audit(target, (), patience=5.0, progress=lambda done, total: None)
    return await asyncio.to_thread(audit.run)


async def test_nothing_is_left(running: Running, site: Site) -> None:
    """In the database, its write-ahead log, the evidence and the log; while the gateway goes on serving."""
    others = [
        await checked(
            running, CheckRequest(images=[Image(data=b"%d" % n)], listing=Listing(title=f"Cup {n}"))
        )
        for n in range(20)
    ]
    answer = await checked(running)
    await checked(running, CheckRequest(images=[Image(data=b"last")], listing=Listing(title="Last cup")))
    salt = salt_of(site, answer.check_id)
    wanted = {**needles(), "salt": salt}
    assert set(left(site.folder, wanted)) == set(wanted), "there is something to erase"
    event = (await erase(running, answer.check_id)).event
    assert not left(site.folder, wanted)
    assert not list((site.folder / "evidence").rglob(f"{answer.check_id}*"))
    assert (event.kind, event.actor) == ("erased", "spiffe://ostiary.local/tenant/demo/role/compliance-admin")
    assert (await audited(site)).decisions == 22
    for other in others:
        case = await desk(running).GetCase(GetCaseRequest(check_id=other.check_id), timeout=10)
        assert case.listing.title.startswith("Cup")


def salt_of(site: Site, check_id: str) -> bytes:
    with closing(sqlite3.connect(site.folder / "data/ostiary.db")) as store:
        (salt,) = store.execute("SELECT salt FROM decisions WHERE check_id = ?", [check_id]).fetchone()
        return bytes(salt)


async def test_what_is_shown_of_it(running: Running) -> None:
    """Where the log holds it and what happened; for everything else it is as if it had never been."""
    answer = await checked(running)
    check_id = answer.check_id
    async for _ in desk(running, "auditor").GetEvidence(GetEvidenceRequest(check_id=check_id), timeout=10):
        pass
    await erase(running, check_id, "Article 17, ticket 12")
    case = await desk(running).GetCase(GetCaseRequest(check_id=check_id), timeout=10)
    assert [event.kind for event in case.events] == ["decided", "viewed", "erased"]
    assert case.response.receipt.log_index == answer.receipt.log_index
    assert (case.listing, case.response.findings, case.response.images) == (Listing(), [], [])
    assert not case.HasField("observations")
    assert case.summary.check_id == check_id
    found = await desk(running).SearchCases(SearchCasesRequest(text="anna"), timeout=10)
    assert not found.cases
    everything = await desk(running).SearchCases(SearchCasesRequest(), timeout=10)
    assert not everything.cases
    view = desk(running, "auditor").GetEvidence(
        GetEvidenceRequest(check_id=check_id, unblurred=True, reason="x"), timeout=10
    )
    assert (await refused(view.read())).message == "This check was erased: nothing of it is left to see"
    image = running.as_("pipeline").GetCanonicalImage(GetCanonicalImageRequest(check_id=check_id), timeout=10)
    assert (await refused(image.read())).reason is Reason.NOT_FOUND
    asked = running.as_("pipeline").GetCheck(GetCheckRequest(check_id=check_id), timeout=10)
    assert (await refused(asked)).reason is Reason.NOT_FOUND


async def test_proofs_still_hold(running: Running, site: Site) -> None:
    """The receipt that its caller has still proves that the decision was recorded, and when."""
    receipt = (await checked(running)).receipt
    check_id = (await checked(running, CheckRequest(images=[Image(data=b"x")]))).check_id
    await erase(running, check_id)
    proof = await desk(running).GetInclusionProof(GetInclusionProofRequest(log_index=1), timeout=10)
    vkey = load_verifier_key(site.folder / "log.vkey")
    checkpoint = open_checkpoint(proof.checkpoint, vkey)
    verify_inclusion(proof.leaf_hash, 1, checkpoint.size, list(proof.path), checkpoint.root)
    assert receipt.log_index == 0
    assert (await audited(site)).checkpoint.size == 3


async def test_once_and_again(running: Running, site: Site) -> None:
    """A second time, and many at once, are answered with the one tombstone."""
    check_id = (await checked(running)).check_id
    tombstones = await asyncio.gather(*(erase(running, check_id) for _ in range(5)))
    tombstones.append(await erase(running, check_id, "another reason"))
    assert len({answer.event.log_index for answer in tombstones}) == 1
    [event] = events_on_record(site)
    assert (event.kind, event.reason, event.erasure.log_index) == ("erased", "Article 17", 0)
    assert sorted(event.erasure.items) == ["blurred-0", "canonical-0"]


async def test_the_same_work_is_looked_at_again(running: Running, script: Script) -> None:
    """Neither the key's answer nor what was seen is used any more: a retry is a check of its own."""
    await until(lambda: script.gallery.asked > 0)
    await asyncio.sleep(0.1)
    first = await checked(running)
    again = CheckRequest()
    again.CopyFrom(PERSONAL)
    again.idempotency_key = "another"
    assert (await checked(running, again)).receipt.reused.check_id == first.check_id
    await erase(running, first.check_id)
    retried = await checked(running)
    assert retried.check_id != first.check_id
    assert not retried.replayed
    assert not retried.receipt.HasField("reused")
    assert len(script.asked) == 2


@pytest.fixture
async def events(site: Site) -> AsyncIterator[Any]:
    """Adds events to cases, as the desk would."""
    async with open_recorder(
        store=site.folder / "data/ostiary.db",
        log_dir=site.folder / "log",
        log_key=site.folder / "log.key",
        origin="ostiary.local/log",
    ) as recorder:
        yield recorder


def event(check_id: str, kind: str, **more: Any) -> EventRecord:
    return EventRecord(check_id=check_id, tenant="demo", actor="spiffe://x/y", kind=kind, **more)


async def test_a_legal_hold_blocks_it(running: Running, events: Any, site: Site) -> None:
    """Until it is lifted nothing is destroyed, and nothing recorded."""
    check_id = (await checked(running)).check_id
    await events.append(event(check_id, "held", hold=EventHold(hold=True)))
    error = await refused(
        desk(running).EraseCheck(EraseCheckRequest(check_id=check_id, reason="x"), timeout=10)
    )
    assert error.reason is Reason.FAILED_PRECONDITION
    assert "legal hold" in error.message
    assert set(left(site.folder, needles())) == set(needles())
    await events.append(event(check_id, "released", hold=EventHold(hold=False)))
    await erase(running, check_id)
    assert not left(site.folder, needles())


async def test_what_people_wrote_goes_with_it(running: Running, events: Any, site: Site) -> None:
    """Comments go, and the log proves that they were; nothing more can be added."""
    check_id = (await checked(running)).check_id
    text = EventComment(text="Anna rang us")
    await events.append(event(check_id, "commented", comment=text))
    await erase(running, check_id)
    assert not left(site.folder, {"comment": b"Anna rang"})
    case = await desk(running).GetCase(GetCaseRequest(check_id=check_id), timeout=10)
    assert [event.kind for event in case.events] == ["decided", "commented", "erased"]
    with pytest.raises(OstiaryError, match="was erased"):
        await events.append(event(check_id, "commented", comment=text))
    assert (await audited(site)).checkpoint.size == 3


async def test_bulk_requests_go_with_it(running: Running, site: Site, script: Script) -> None:
    """A submission of the same key that still waits is not brought to an answer of its own."""
    script.gate.clear()
    submitted = await running.as_("pipeline").Submit(SubmitRequest(request=PERSONAL), timeout=10)
    await until(lambda: bool(script.asked))
    assert list((site.folder / "evidence").rglob("request"))
    script.gate.set()
    for _ in range(200):
        got = await running.as_("pipeline").GetCheck(GetCheckRequest(check_id=submitted.check_id), timeout=10)
        if not got.pending:
            break
        await asyncio.sleep(0.02)
    await erase(running, submitted.check_id)
    assert not left(site.folder, needles())


@pytest.mark.parametrize(
    ("asked", "reason", "words"),
    [
        ({"reason": "x"}, Reason.MISSING_FIELD, "check_id"),
        ({"check_id": "none", "reason": "x"}, Reason.NOT_FOUND, "no such case"),
        ({"check_id": "none"}, Reason.MISSING_FIELD, "reason"),
        ({"check_id": "none", "reason": " \n"}, Reason.MISSING_FIELD, "reason"),
        ({"check_id": "none", "reason": "x" * 501}, Reason.INVALID_FIELD, "at most 500"),
    ],
    ids=["no check", "another", "no reason", "blank", "long"],
)
async def test_what_cannot_be_asked(
    running: Running, asked: dict[str, Any], reason: Reason, words: str
) -> None:
    """The error names the field and what to do."""
    error = await refused(desk(running).EraseCheck(EraseCheckRequest(**asked), timeout=10))
    assert error.reason is reason
    assert words in f"{error.message} {error.violations}"


async def test_who_may(running: Running, people: Any) -> None:
    """compliance-admin of the check's own tenant alone."""
    check_id = (await checked(running)).check_id
    people.issue("foreign", "/tenant/other/role/compliance-admin")
    people.issue("lead", "/tenant/demo/role/lead-auditor")
    for who, reason in (
        ("foreign", Reason.NOT_FOUND),
        ("lead", Reason.PERMISSION_DENIED),
        ("auditor", Reason.PERMISSION_DENIED),
        ("pipeline", Reason.PERMISSION_DENIED),
    ):
        request = EraseCheckRequest(check_id=check_id, reason="x")
        assert (await refused(desk(running, who).EraseCheck(request, timeout=10))).reason is reason
