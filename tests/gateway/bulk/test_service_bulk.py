"""Bulk work as callers meet it: accepted, judged when there is room, and told of; over the real store."""

import asyncio
import sqlite3
from collections.abc import Awaitable
from contextlib import closing

import grpc
import pytest

from gateway.scripted_pod import Script
from gateway.site import Running, Site, until
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import (
    CheckRequest,
    CheckResponse,
    GetCheckRequest,
    GetCheckResponse,
    SubmitRequest,
    WatchChecksRequest,
    WatchChecksResponse,
)
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error


def request(key: str, title: str = "Cup") -> CheckRequest:
    return CheckRequest(idempotency_key=key, images=[Image(data=b"image")], listing=Listing(title=title))


async def submit(running: Running, sent: CheckRequest, who: str = "pipeline") -> str:
    answer = await running.as_(who).Submit(SubmitRequest(request=sent), timeout=20)
    return answer.check_id


async def get(running: Running, check_id: str, who: str = "pipeline") -> GetCheckResponse:
    answer: GetCheckResponse = await running.as_(who).GetCheck(GetCheckRequest(check_id=check_id), timeout=20)
    return answer


async def decided(running: Running, check_id: str) -> CheckResponse:
    """Wait for the answer."""
    for _ in range(500):
        found = await get(running, check_id)
        if not found.pending:
            return found.response
        await asyncio.sleep(0.02)
    raise AssertionError("it was never decided")


async def refusal(call: Awaitable[object]) -> OstiaryError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def queued(site: Site) -> list[tuple[str, str]]:
    """What the queue's table holds: check and the one that answers it."""
    with closing(sqlite3.connect(site.folder / "data/ostiary.db")) as store:
        return list(store.execute("SELECT check_id, answered_by FROM bulk_checks ORDER BY created_us"))


def requests_kept(site: Site) -> list[str]:
    """Checks whose submitted request is kept."""
    return sorted(path.parent.name for path in (site.folder / "evidence").rglob("request"))


async def test_a_submission_comes_to_its_answer(running: Running, script: Script, site: Site) -> None:
    """Pending until decided, then what Check would have said; nothing of the request stays in the queue."""
    script.gate.clear()
    check_id = await submit(running, request("a"))
    assert (await get(running, check_id)).pending
    assert requests_kept(site) == [check_id]
    await script.arrived.wait()
    assert (await get(running, check_id)).pending
    script.gate.set()
    answer = await decided(running, check_id)
    assert (answer.check_id, answer.verdict, answer.receipt.log_index) == (check_id, Verdict.VERDICT_ALLOW, 0)
    await until(lambda: not queued(site) and not requests_kept(site))
    assert len(script.asked) == 1


async def test_the_request_is_not_in_the_database(running: Running, script: Script, site: Site) -> None:
    """What waits is kept encrypted as evidence, so that erasing it is erasing a key."""
    script.gate.clear()
    await submit(running, request("a", title="a very particular cup"))
    for path in [*site.folder.glob("data/*"), *(site.folder / "evidence").rglob("request")]:
        assert b"a very particular cup" not in path.read_bytes()
    script.gate.set()


async def test_submitting_again(running: Running, script: Script) -> None:
    """The same key and request: the same check, queued or decided; another request: ALREADY_EXISTS."""
    script.gate.clear()
    check_id = await submit(running, request("a"))
    assert await submit(running, request("a")) == check_id
    taken = await refusal(submit(running, request("a", "Another")))
    assert taken.reason is Reason.ALREADY_EXISTS
    script.gate.set()
    await decided(running, check_id)
    assert await submit(running, request("a")) == check_id
    assert (await refusal(submit(running, request("a", "Another")))).reason is Reason.ALREADY_EXISTS
    replayed = await running.as_("pipeline").Check(request("a"), timeout=20)
    assert (replayed.check_id, replayed.replayed) == (check_id, True)
    assert len(script.asked) == 1


async def test_a_check_overtakes_its_submission(site: Site, script: Script) -> None:
    """One verdict for the key: whoever asks for the submission is told the check that answered it."""
    script.gate.clear()
    async with site.start(bulk={"at_once": 1}) as running:
        first = await submit(running, request("busy"))
        await script.arrived.wait()
        late = await submit(running, request("a"))
        checking = asyncio.ensure_future(running.as_("pipeline").Check(request("a"), timeout=20))
        await until(lambda: len(script.asked) == 2)
        script.gate.set()
        checked = await checking
        await decided(running, first)
        assert checked.check_id != late
        assert (await decided(running, late)).check_id == checked.check_id
        await until(lambda: queued(site) == [(late, checked.check_id)])
        await until(lambda: not requests_kept(site))
    assert len(script.asked) == 2


async def test_it_survives_the_gateway(site: Site, script: Script) -> None:
    """What was in hand when the gateway stopped, and what still waited, is judged by the next one, once."""
    script.gate.clear()
    async with site.start(bulk={"at_once": 1}) as running:
        checks = [await submit(running, request(key)) for key in ("a", "b", "c")]
        await script.arrived.wait()
    script.gate.set()
    assert [check_id for check_id, _ in queued(site)] == checks
    async with site.start() as running:
        answers = [await decided(running, check_id) for check_id in checks]
    assert [answer.check_id for answer in answers] == checks
    assert {answer.verdict for answer in answers} == {Verdict.VERDICT_ALLOW}
    assert sorted(answer.receipt.log_index for answer in answers) == [0, 1, 2]


async def test_two_gateways_work_off_one_queue(site: Site, script: Script) -> None:
    """Each submission is one gateway's, and any of them tells of it."""
    async with site.start() as one, site.start() as other:
        checks = [await submit((one, other)[number % 2], request(f"k{number}")) for number in range(12)]
        for check_id in checks:
            assert (await decided(one, check_id)).check_id == check_id
            assert (await decided(other, check_id)).check_id == check_id
    assert len(script.asked) == 12


async def test_no_room_is_waited_for(site: Site, script: Script) -> None:
    """Bulk work gives way to a check before publishing, and comes to its turn after it."""
    script.gate.clear()
    async with site.start(admission={"max_checks": 1, "max_wait": 0}) as running:
        urgent = asyncio.ensure_future(running.as_("pipeline").Check(request("now"), timeout=20))
        await script.arrived.wait()
        check_id = await submit(running, request("later"))
        await asyncio.sleep(0.2)
        assert (await get(running, check_id)).pending
        assert len(script.asked) == 1
        script.gate.set()
        await urgent
        assert (await decided(running, check_id)).verdict == Verdict.VERDICT_ALLOW


async def test_a_full_queue_says_when_to_come_back(site: Site, script: Script) -> None:
    """Nothing of what is refused is kept."""
    script.gate.clear()
    async with site.start(bulk={"queued": 1}) as running:
        held = await submit(running, request("a"))
        error = await refusal(submit(running, request("b")))
        assert (error.reason, error.retry_after) == (Reason.OVERLOADED, 30.0)
        assert requests_kept(site) == [held]
        script.gate.set()
        await decided(running, held)
        await until(lambda: not queued(site))
        await submit(running, request("b"))


async def test_what_is_not_accepted(running: Running, script: Script) -> None:
    """No key, no image, no right: the caller is told at once, and no pod is asked."""
    missing = await refusal(submit(running, request("")))
    assert (missing.reason, missing.violations[0].field) == (Reason.MISSING_FIELD, "request.idempotency_key")
    bare = CheckRequest(idempotency_key="k")
    assert (await refusal(submit(running, bare))).reason is Reason.INVALID_FIELD
    assert (await refusal(submit(running, request("a"), "auditor"))).reason is Reason.PERMISSION_DENIED
    assert not script.asked


@pytest.mark.parametrize(
    ("who", "known"), [("stranger", True), ("pipeline", False)], ids=["another's", "none"]
)
async def test_checks_that_are_not_there(running: Running, who: str, known: bool) -> None:
    """Another tenant's check is not there either, queued or decided."""
    check_id = await submit(running, request("a"))
    error = await refusal(get(running, check_id if known else "none", who))
    assert error.reason is Reason.NOT_FOUND
    await decided(running, check_id)
    assert (await refusal(get(running, check_id if known else "none", who))).reason is Reason.NOT_FOUND


async def outcomes(
    running: Running, cursor: str, count: int, who: str = "pipeline"
) -> list[WatchChecksResponse]:
    """So many outcomes behind a cursor."""
    stream = running.as_(who).WatchChecks(WatchChecksRequest(cursor=cursor), timeout=20)
    found: list[WatchChecksResponse] = []
    async for outcome in stream:
        found.append(outcome)
        if len(found) == count:
            stream.cancel()
            break
    return found


async def test_outcomes_are_told_as_they_come(running: Running, script: Script) -> None:
    """Of one's own tenant, from now on or from a cursor on, each once and in the order of the log."""
    early = await running.as_("pipeline").Check(request("early"), timeout=20)
    await running.as_("stranger").Check(request("other"), timeout=20)
    watching = asyncio.ensure_future(outcomes(running, "", 2))
    await asyncio.sleep(0.2)
    checks = [await submit(running, request(key)) for key in ("a", "b")]
    told = await watching
    assert sorted(each.response.check_id for each in told) == sorted(checks)
    assert all(each.decided_at == each.response.receipt.decided_at for each in told)
    again = await outcomes(running, "0", 2)
    assert again == told
    assert [each.response.check_id for each in await outcomes(running, told[0].cursor, 1)] == [
        told[1].response.check_id
    ]
    assert int(told[0].cursor) > early.receipt.log_index


async def test_a_cursor_that_is_none(running: Running) -> None:
    """It is refused in words."""
    error = await refusal(outcomes(running, "yesterday", 1))
    assert (error.reason, error.violations[0].field) == (Reason.INVALID_FIELD, "cursor")


async def test_watching_does_not_keep_the_gateway_up(site: Site, script: Script) -> None:
    """Streams end when the gateway is told to stop; their callers go on from their cursors."""
    async with site.start(drain_seconds=30) as running:
        stream = running.as_("pipeline").WatchChecks(WatchChecksRequest(), timeout=60)
        ended = asyncio.ensure_future(anext(aiter(stream), None))
        await asyncio.sleep(0.2)
        stopping = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - stopping < 10
    await asyncio.gather(ended, return_exceptions=True)
