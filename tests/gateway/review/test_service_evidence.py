"""Evidence over mutual TLS: blurred unless asked, and on record before a byte of it leaves."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from gateway.review.conftest import events_on_record
from gateway.scripted_pod import Script, blurred_bytes, canonical_bytes, truthful
from gateway.site import Running, Site
from ostiary.v1.audit_pb2 import GetCaseRequest, GetEvidenceRequest
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.image_pb2 import Image
from ostiary.v1.inference_pb2 import InferResponse
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error
from ostiary_gateway.store.evidence_keys import KeyMemory
from ostiary_gateway.store.sealing import add_evidence_key, create_evidence_key

if TYPE_CHECKING:
    from ostiary.v1.audit_pb2_grpc import AuditServiceAsyncStub

RAW = b"image" * 100_000


async def checked(running: Running) -> str:
    """A check of two images that is on record."""
    request = CheckRequest(images=[Image(data=RAW), Image(data=b"another")])
    return str((await running.as_("pipeline").Check(request, timeout=10)).check_id)


def desk(running: Running, who: str = "auditor") -> "AuditServiceAsyncStub":
    stub: AuditServiceAsyncStub = AuditServiceStub(running.channel(who))
    return stub


async def seen(running: Running, who: str = "auditor", **asked: Any) -> tuple[str, bytes]:
    """Media type and bytes of what is shown."""
    parts = [part async for part in desk(running, who).GetEvidence(GetEvidenceRequest(**asked), timeout=10)]
    assert all(len(part.data) <= 1024 * 1024 for part in parts)
    return parts[0].media_type, b"".join(part.data for part in parts)


async def refused(running: Running, who: str = "auditor", **asked: Any) -> OstiaryError:
    """How a view is refused, before any byte."""
    call = desk(running, who).GetEvidence(GetEvidenceRequest(**asked), timeout=10)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    return from_rpc_error(caught.value)


async def test_blurred_unless_asked(running: Running) -> None:
    """Without a word more, people see the blurred rendition; as it is, with a reason."""
    check_id = await checked(running)
    assert await seen(running, check_id=check_id) == ("image/jpeg", blurred_bytes(RAW))
    assert await seen(running, check_id=check_id, image_index=1) == ("image/jpeg", blurred_bytes(b"another"))
    found = await seen(running, check_id=check_id, unblurred=True, reason="ticket 7")
    assert found == ("image/png", canonical_bytes(RAW))


async def test_each_view_is_on_record(running: Running, site: Site) -> None:
    """Who, what, how and why, each in an entry of the log of its own; what was refused is no view."""
    check_id = await checked(running)
    await seen(running, check_id=check_id)
    await seen(running, check_id=check_id, image_index=1, unblurred=True, reason="ticket 7")
    await refused(running, check_id=check_id, unblurred=True)
    await refused(running, check_id=check_id, image_index=2)
    case = await desk(running).GetCase(GetCaseRequest(check_id=check_id), timeout=10)
    assert [(event.kind, event.detail) for event in case.events[1:]] == [
        ("viewed", "image 0, blurred"),
        ("viewed", "image 1, as it is"),
    ]
    assert [event.log_index for event in case.events] == [0, 1, 2]
    assert {event.actor for event in case.events[1:]} == {"spiffe://ostiary.local/tenant/demo/role/auditor"}
    views = [event for event in events_on_record(site) if event.kind == "viewed"]
    assert [(event.view.item, event.view.unblurred, event.reason) for event in views] == [
        ("blurred-0", False, ""),
        ("canonical-1", True, "ticket 7"),
    ]


async def test_no_view_without_a_record(running: Running, site: Site) -> None:
    """Where the view cannot be recorded, nothing is released."""
    check_id = await checked(running)
    store = site.folder / "data/ostiary.db"
    await asyncio.to_thread(sql, store, "ALTER TABLE case_events RENAME TO broken")
    assert (await refused(running, check_id=check_id)).reason is Reason.STORE_UNAVAILABLE
    await asyncio.to_thread(sql, store, "ALTER TABLE broken RENAME TO case_events")
    # Readable, but not to be added to.
    trigger = "CREATE TRIGGER no BEFORE INSERT ON case_events BEGIN SELECT RAISE(FAIL, 'no'); END"
    await asyncio.to_thread(sql, store, trigger)
    error = await refused(running, check_id=check_id, unblurred=True, reason="x")
    assert error.reason in (Reason.STORE_UNAVAILABLE, Reason.INTERNAL)
    assert not events_on_record(site)


def sql(store: Path, statement: str) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("asked", "reason", "words"),
    [
        ({}, Reason.MISSING_FIELD, "check_id"),
        ({"check_id": "none"}, Reason.NOT_FOUND, "no such case"),
        ({"image_index": -1}, Reason.INVALID_FIELD, "image_index"),
        ({"image_index": 2}, Reason.NOT_FOUND, "no readable image 2"),
        ({"unblurred": True}, Reason.MISSING_FIELD, "reason"),
        ({"unblurred": True, "reason": "  "}, Reason.MISSING_FIELD, "reason"),
        ({"unblurred": True, "reason": "x" * 501}, Reason.INVALID_FIELD, "at most 500"),
        ({"reason": "x" * 501}, Reason.INVALID_FIELD, "at most 500"),
    ],
    ids=[
        "no check",
        "another check",
        "before the first",
        "behind the last",
        "no reason",
        "blank",
        "long",
        "blurred",
    ],
)
async def test_what_cannot_be_asked(
    running: Running, asked: dict[str, Any], reason: Reason, words: str
) -> None:
    """The error names the field and what to do."""
    check_id = await checked(running)
    asked = {"check_id": check_id, **asked} if asked else asked
    error = await refused(running, **asked)
    assert error.reason is reason
    assert words in f"{error.message} {error.violations}"


async def test_others_see_nothing(running: Running, people: Any) -> None:
    """Neither another tenant's auditors, nor roles that may not, even of their own checks."""
    check_id = await checked(running)
    people.issue("outside", "/tenant/other/role/auditor")
    assert (await refused(running, "outside", check_id=check_id)).reason is Reason.NOT_FOUND
    for who in ("pipeline", "admin"):
        assert (await refused(running, who, check_id=check_id)).reason is Reason.PERMISSION_DENIED


async def test_never_unblurred_in_place_of_blurred(running: Running, script: Script) -> None:
    """Where no rendition was kept, as of older checks, a blurred view is refused; not one with a reason."""

    def without(check: CheckRequest) -> InferResponse:
        answer = truthful(check)
        for item in answer.canonical:
            item.ClearField("blurred")
        return answer

    script.answer = without
    check_id = await checked(running)
    error = await refused(running, check_id=check_id)
    assert error.reason is Reason.FAILED_PRECONDITION
    assert "unblurred, with a reason" in error.message
    assert (await seen(running, check_id=check_id, unblurred=True, reason="x"))[1] == canonical_bytes(RAW)


@pytest.mark.parametrize("blurred", [b"\x89PNG", b"\xff\xd8\xff".ljust(16_385)], ids=["no JPEG", "large"])
async def test_a_rendition_that_shows_too_much(running: Running, script: Script, blurred: bytes) -> None:
    """A pod whose rendition is not what it should be is not believed at all: the check is held."""

    def careless(check: CheckRequest) -> InferResponse:
        answer = truthful(check)
        answer.canonical[0].blurred = blurred
        return answer

    script.answer = careless
    response = await running.as_("pipeline").Check(CheckRequest(images=[Image(data=RAW)]), timeout=10)
    assert [reason.code for reason in response.hold_reasons] == ["unavailable"]
    assert "blurred rendition" in response.hold_reasons[0].detail


async def test_evidence_that_was_altered_is_not_shown(site: Site) -> None:
    """Flipped bytes and a lost key are errors in words, and no view is recorded."""
    async with site.start() as running:
        check_id = await checked(running)
        [item] = (site.folder / "evidence").rglob(f"{check_id}/canonical-0")
        sealed = bytearray(item.read_bytes())
        sealed[-1] ^= 1
        item.write_bytes(sealed)
        error = await refused(running, check_id=check_id, unblurred=True, reason="x")
        assert (error.reason, "altered" in error.message) == (Reason.INTERNAL, True)
    (site.folder / "evidence.key").unlink()
    create_evidence_key(site.folder / "evidence.key")
    with pytest.raises(ValueError, match="restore that one"):
        async with site.start():
            pass
    taken = {"dir": "evidence", "key": "evidence.key", "new_key": True}
    async with site.start(evidence=taken) as running:
        assert "of another key" in (await refused(running, check_id=check_id)).message
    assert not events_on_record(site)


async def test_a_key_that_goes_while_it_is_needed(running: Running, site: Site) -> None:
    """Nothing is decided without the key's file, or with another in its place; with it, all goes on."""
    key = site.folder / "evidence.key"
    lost = key.rename(site.folder / "lost.key")

    async def failure() -> Reason:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await checked(running)
        return from_rpc_error(caught.value).reason

    assert await failure() is Reason.STORE_UNAVAILABLE
    create_evidence_key(key)
    assert await failure() is Reason.STORE_UNAVAILABLE
    lost.rename(key)
    check_id = await checked(running)
    assert await seen(running, check_id=check_id) == ("image/jpeg", blurred_bytes(RAW))


def wait_until_known(store: Path, key_id: bytes) -> None:
    """Until the record knows the key."""
    ends = time.monotonic() + 30
    while KeyMemory(store).known().file != key_id:
        assert time.monotonic() < ends
        time.sleep(0.05)


def keep_the_first_line(path: Path) -> None:
    path.write_text(path.read_text().splitlines(keepends=True)[0])


async def test_the_key_is_rotated(site: Site) -> None:
    """While the gateway runs: what was sealed before and after is shown, also by the next one, and the
    record knows the new key.
    """
    path = site.folder / "evidence.key"
    async with site.start() as running:
        before = await checked(running)
        new = add_evidence_key(path)
        after = await checked(running)
        for check_id in (before, after):
            assert await seen(running, check_id=check_id) == ("image/jpeg", blurred_bytes(RAW))
        await asyncio.to_thread(wait_until_known, site.folder / "data/ostiary.db", new.id)
    keep_the_first_line(path)
    async with site.start() as running:
        assert await seen(running, check_id=after) == ("image/jpeg", blurred_bytes(RAW))
        assert "of another key" in (await refused(running, check_id=before)).message
