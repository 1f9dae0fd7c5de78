"""What the worker makes of submissions that fail, of crashes between two steps, and of what was erased."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ostiary.tlog.keys import create_log_key
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.admission import AdaptiveAdmission, AdmissionLimits
from ostiary_gateway.bulk.queue import Submission
from ostiary_gateway.bulk.worker import REQUEST, BulkTimes, BulkWorker
from ostiary_gateway.check import Caller
from ostiary_gateway.received import ReceivedCheck
from ostiary_gateway.recorder import NewDecision, Recorder
from ostiary_gateway.store.database_queue import DatabaseBulkQueue, open_queue
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.opening import open_recorder
from ostiary_gateway.store.sealing import KeyEncryptionKey

START = datetime(2026, 11, 25, tzinfo=UTC)
RAW = CheckRequest(
    idempotency_key="k", images=[Image(data=b"x")], listing=Listing(title="Cup")
).SerializeToString()
SENT = Submission(
    "check-1", "t", "k", b"1" * 32, "spiffe://a.test/tenant/t/role/pipeline", "pipeline", "canary"
)


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class ScriptedChecker:
    """Records what it is asked to check, unless it is told to fail."""

    recorder: Recorder
    failures: list[Exception] = field(default_factory=list)
    checked: list[tuple[str, Caller]] = field(default_factory=list)

    async def check(self, check_id: str, check: ReceivedCheck, caller: Caller) -> CheckResponse:
        self.checked.append((check_id, caller))
        if self.failures:
            raise self.failures.pop(0)
        return await self._record(check_id, "k", Verdict.VERDICT_ALLOW, caller)

    async def give_up(self, check_id: str, check: ReceivedCheck, caller: Caller, why: str) -> CheckResponse:
        return await self._record(check_id, "", Verdict.VERDICT_HOLD, caller)

    async def _record(
        self, check_id: str, key: str, verdict: Verdict.ValueType, caller: Caller
    ) -> CheckResponse:
        response = CheckResponse(check_id=check_id, verdict=verdict)
        tenant = caller.principal.tenant
        return await self.recorder.record(
            NewDecision(
                check_id, tenant, str(caller.principal.id), key, b"1" * 32, Listing(), response, None, ""
            )
        )


class Bench:
    """A worker over a real queue, record and evidence store, with time in hand."""

    def __init__(
        self, queue: DatabaseBulkQueue, recorder: Recorder, evidence: DirectoryEvidence, clock: Clock
    ) -> None:
        self.queue, self.recorder, self.evidence, self.clock = queue, recorder, evidence, clock
        self.checker = ScriptedChecker(recorder)
        admission = AdaptiveAdmission(AdmissionLimits())
        self.worker = BulkWorker(
            queue,
            self.checker,
            admission,
            recorder,
            evidence,
            lambda: 0.0,
            BulkTimes(attempts=2, retry=5.0),  # type: ignore[arg-type]
        )

    async def add(self, submission: Submission = SENT) -> None:
        await self.evidence.put(submission.tenant, submission.check_id, REQUEST, RAW)
        await self.queue.add(submission)

    async def work(self) -> None:
        """All that is due now."""
        await self.worker._take_in_hand()
        await asyncio.gather(*self.worker._in_hand.values())

    async def verdict(self) -> Verdict.ValueType | None:
        found = await self.recorder.get("t", "check-1")
        return found.response.verdict if found else None


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    create_log_key(tmp_path / "log.key", "a.test/log")
    store = tmp_path / "store.db"
    async with (
        open_recorder(
            store=store, log_dir=tmp_path / "log", log_key=tmp_path / "log.key", origin="a.test/log"
        ) as recorder,
        open_queue(store, 100) as opened,
        DirectoryEvidence(tmp_path / "evidence", KeyEncryptionKey(b"k" * 32)) as evidence,
    ):
        clock = Clock()
        queue = DatabaseBulkQueue(opened._engine, opened._thread, 100, clock)
        yield Bench(queue, recorder, evidence, clock)


async def test_it_is_checked_as_its_caller(bench: Bench) -> None:
    """Tenant, role, identity and pin are those of the submission; request and row go with the answer."""
    await bench.add()
    await bench.work()
    [(check_id, caller)] = bench.checker.checked
    assert (check_id, str(caller.principal.id), caller.principal.tenant) == ("check-1", SENT.caller, "t")
    assert (caller.principal.role, caller.version_pin, caller.remaining()) == ("pipeline", "canary", None)
    assert await bench.queue.find("t", "check-1") is None
    assert await bench.evidence.get("t", "check-1", REQUEST) is None


async def test_what_keeps_failing_becomes_a_hold(bench: Bench) -> None:
    """Each failure is waited for longer; after the last, people look, and nothing is lost."""
    await bench.add()
    bench.checker.failures = [RuntimeError("once"), OstiaryError(Reason.INTERNAL, "twice")]
    await bench.work()
    await bench.work()
    assert len(bench.checker.checked) == 1, "not due yet"
    bench.clock.forward(5)
    await bench.work()
    bench.clock.forward(9)
    await bench.work()
    assert len(bench.checker.checked) == 2, "the second failure is waited for twice as long"
    bench.clock.forward(1)
    await bench.work()
    assert await bench.verdict() == Verdict.VERDICT_HOLD
    assert await bench.queue.find("t", "check-1") is None


@pytest.mark.parametrize("reason", [Reason.OVERLOADED, Reason.QUOTA_EXHAUSTED, Reason.STORE_UNAVAILABLE])
async def test_having_no_room_is_no_failure(bench: Bench, reason: Reason) -> None:
    """It is put off for as long as was said, however often."""
    await bench.add()
    bench.checker.failures = [OstiaryError(reason, "no", retry_after=3.0)] * 6
    for _ in range(6):
        await bench.work()
        bench.clock.forward(3)
    await bench.work()
    assert await bench.verdict() == Verdict.VERDICT_ALLOW


async def test_a_process_that_died_leaves_its_submission(bench: Bench) -> None:
    """It is due again when its time is over, and not before; of two processes one has it."""
    await bench.add()
    assert [each.check_id for each in await bench.queue.claim(5, 60)] == ["check-1"]
    assert await bench.queue.claim(5, 60) == []
    bench.clock.forward(60)
    await bench.work()
    assert await bench.verdict() == Verdict.VERDICT_ALLOW


@pytest.mark.parametrize("key", ["k", ""], ids=["answered", "given up"])
async def test_died_after_recording(bench: Bench, key: str) -> None:
    """The record says that it is answered: it is neither checked again nor given up again."""
    await bench.add()
    caller = bench.worker._caller(SENT)
    await bench.checker._record("check-1", key, Verdict.VERDICT_HOLD, caller)
    await bench.work()
    assert not bench.checker.checked
    assert await bench.queue.find("t", "check-1") is None
    assert await bench.evidence.get("t", "check-1", REQUEST) is None


async def test_died_after_its_request_was_discarded(bench: Bench) -> None:
    """Another check answers its key: that one is told of."""
    await bench.add()
    await bench.checker._record("other", "k", Verdict.VERDICT_ALLOW, bench.worker._caller(SENT))
    await bench.evidence.discard("t", "check-1", REQUEST)
    await bench.work()
    found = await bench.queue.find("t", "check-1")
    assert found == replace(SENT, answered_by="other")


async def test_what_was_erased_is_not_checked(bench: Bench) -> None:
    """Without its request a submission goes."""
    await bench.add()
    await bench.evidence.discard("t", "check-1", REQUEST)
    await bench.work()
    assert not bench.checker.checked
    assert await bench.queue.find("t", "check-1") is None


async def test_the_oldest_go_first(bench: Bench) -> None:
    """In the order in which they came, and only what there is room for."""
    for number in range(5):
        await bench.add(replace(SENT, check_id=f"check-{number}", idempotency_key=f"k{number}"))
        bench.clock.forward(1)
    assert [each.check_id for each in await bench.queue.claim(3, 60)] == ["check-0", "check-1", "check-2"]
    assert [each.check_id for each in await bench.queue.claim(3, 60)] == ["check-3", "check-4"]
