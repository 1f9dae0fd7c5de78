"""One verdict per key, also across two gateways over one record."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ostiary.tlog.keys import create_log_key
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.idempotency import Idempotency
from ostiary_gateway.ids import new_check_id
from ostiary_gateway.recorder import NewDecision, Recorder
from ostiary_gateway.store.opening import open_recorder

ONE, OTHER = b"1" * 32, b"2" * 32


@pytest.fixture
async def recorder(tmp_path: Path) -> AsyncIterator[Recorder]:
    """The real one, over SQLite."""
    create_log_key(tmp_path / "log.key", "a.test/log")
    async with open_recorder(
        store=tmp_path / "store.db",
        log_dir=tmp_path / "log",
        log_key=tmp_path / "log.key",
        origin="a.test/log",
    ) as opened:
        yield opened


def work(recorder: Recorder, digest: bytes, gate: asyncio.Event) -> Callable[[], Awaitable[CheckResponse]]:
    """A check that waits at the gate, then records a decision of its own under the key `k`."""

    async def check() -> CheckResponse:
        await gate.wait()
        check_id = new_check_id()
        response = CheckResponse(check_id=check_id)
        return await recorder.record(
            NewDecision(check_id, "t", "caller", "k", digest, Listing(), response, None, "")
        )

    return check


async def test_two_gateways_give_one_verdict(recorder: Recorder) -> None:
    """Both looked before either recorded: the second to record answers with the first one's decision."""
    gate = asyncio.Event()
    runs = [
        asyncio.ensure_future(Idempotency(recorder).run("t", "k", ONE, work(recorder, ONE, gate)))
        for _ in range(2)
    ]
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*runs)
    assert len({answer.check_id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False, True]


async def test_two_gateways_with_two_requests_under_one_key(recorder: Recorder) -> None:
    """One is decided, the other is told that the key is taken."""
    gate = asyncio.Event()
    runs = [
        asyncio.ensure_future(Idempotency(recorder).run("t", "k", digest, work(recorder, digest, gate)))
        for digest in (ONE, OTHER)
    ]
    await asyncio.sleep(0)
    gate.set()
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    [refused] = [outcome for outcome in outcomes if isinstance(outcome, OstiaryError)]
    assert refused.reason is Reason.ALREADY_EXISTS
    assert sum(isinstance(outcome, CheckResponse) for outcome in outcomes) == 1


async def test_a_concurrent_run_with_another_request_is_refused_at_once(recorder: Recorder) -> None:
    """It does not wait for the first to end."""
    gate = asyncio.Event()
    idempotency = Idempotency(recorder)
    first = asyncio.ensure_future(idempotency.run("t", "k", ONE, work(recorder, ONE, gate)))
    await asyncio.sleep(0)
    with pytest.raises(OstiaryError) as caught:
        await idempotency.run("t", "k", OTHER, work(recorder, OTHER, gate))
    assert caught.value.reason is Reason.ALREADY_EXISTS
    gate.set()
    assert not (await first).replayed


async def test_nobody_waits_any_more(recorder: Recorder) -> None:
    """The run is cancelled with its last caller, and the key is free for whoever comes next."""
    idempotency = Idempotency(recorder)
    first = asyncio.ensure_future(idempotency.run("t", "k", ONE, work(recorder, ONE, asyncio.Event())))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate = asyncio.Event()
    gate.set()
    assert not (await idempotency.run("t", "k", ONE, work(recorder, ONE, gate))).replayed


async def test_a_failed_run_leaves_the_key_free(recorder: Recorder) -> None:
    """All who waited are told; nothing was recorded, so the next try decides."""
    idempotency = Idempotency(recorder)

    async def fail() -> CheckResponse:
        raise OstiaryError(Reason.STORE_UNAVAILABLE, "disk full")

    outcomes = await asyncio.gather(
        *(idempotency.run("t", "k", ONE, fail) for _ in range(3)), return_exceptions=True
    )
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, OstiaryError)} == {
        Reason.STORE_UNAVAILABLE
    }
    gate = asyncio.Event()
    gate.set()
    assert not (await idempotency.run("t", "k", ONE, work(recorder, ONE, gate))).replayed


async def test_without_a_key_every_run_is_its_own(recorder: Recorder) -> None:
    """No idempotency was asked for."""
    runs = 0

    async def count() -> CheckResponse:
        nonlocal runs
        runs += 1
        return CheckResponse()

    idempotency = Idempotency(recorder)
    await asyncio.gather(*(idempotency.run("t", "", ONE, count) for _ in range(3)))
    assert runs == 3
