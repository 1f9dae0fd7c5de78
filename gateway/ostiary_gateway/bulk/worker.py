"""Works off the bulk queue: through the same checks as everything else, and after everything else.

A submission is claimed for some time; a process that dies leaves it to be claimed again, and the record sees
to it that it is decided once. What keeps failing becomes a HOLD for people, and is never lost.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import SpiffeId
from ostiary_gateway.admission import Admission
from ostiary_gateway.admission.admitting import Priority
from ostiary_gateway.bulk.queue import BulkQueue, Submission
from ostiary_gateway.check import Caller, Checker
from ostiary_gateway.evidence import EvidenceError, EvidenceStore
from ostiary_gateway.offload import offload, quick_to_hash
from ostiary_gateway.received import ReceivedCheck
from ostiary_gateway.recorder import Recorder

REQUEST = "request"
"""Name of a submission's request in the evidence store."""
_log = structlog.get_logger(__name__)
# There was no room, or no store: nothing of the submission's own is wrong.
_LATER = {
    Reason.OVERLOADED,
    Reason.RATE_LIMITED,
    Reason.QUOTA_EXHAUSTED,
    Reason.STORE_UNAVAILABLE,
    Reason.UNAVAILABLE,
}


@dataclass(frozen=True)
class BulkTimes:
    """How bulk work is done. Times are in seconds."""

    most: int = 8
    """Submissions in hand at once."""
    interval: float = 1.0
    """Between two looks into the queue."""
    lease: float = 180.0
    """How long a submission is a process's own; longer than any check takes."""
    retry: float = 5.0
    """After a failure; doubles with each."""
    attempts: int = 5
    """Failures after which a submission is put on HOLD."""
    longest: float = 300.0
    """Longest time that a submission is put off at once."""


class BulkWorker:
    """The task of a process that works off the queue. For one event loop."""

    def __init__(
        self,
        queue: BulkQueue,
        checker: Checker,
        admission: Admission,
        recorder: Recorder,
        evidence: EvidenceStore,
        clock: Callable[[], float],
        times: BulkTimes = BulkTimes(),
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._queue = queue
        self._checker = checker
        self._admission = admission
        self._recorder = recorder
        self._evidence = evidence
        self._clock = clock
        self._times = times
        self._in_hand: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look into the queue now: something was accepted."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; what is in hand is then due at once, for whoever comes next."""
        try:
            while True:
                self._woken.clear()
                await self._take_in_hand()
                # Not wait_for, which until Python 3.12 forgets a cancellation that comes as it is woken.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._times.interval):
                        await self._woken.wait()
        finally:
            await self._let_go()

    async def _take_in_hand(self) -> None:
        room = self._times.most - len(self._in_hand)
        if room <= 0:
            return
        try:
            claimed = await self._queue.claim(room, self._times.lease)
        except OstiaryError as error:
            _log.error("bulk queue failed", error=error.message)
            return
        for submission in claimed:
            task = asyncio.create_task(self._work(submission), name=f"bulk {submission.check_id}")
            self._in_hand[submission.check_id] = task
            task.add_done_callback(partial(self._done, submission.check_id))

    def _done(self, check_id: str, _: asyncio.Task[None]) -> None:
        self._in_hand.pop(check_id, None)
        self._woken.set()

    async def _let_go(self) -> None:
        in_hand = dict(self._in_hand)
        for task in in_hand.values():
            task.cancel()
        await asyncio.gather(*in_hand.values(), return_exceptions=True)
        for check_id, task in in_hand.items():
            if task.cancelled():
                try:
                    await self._queue.postpone(check_id, 0)
                except OstiaryError as error:
                    _log.warning("bulk check is due later", check_id=check_id, error=error.message)

    async def _work(self, submission: Submission) -> None:
        """Bring one submission to its answer, or put it off."""
        check_id = submission.check_id
        try:
            await self._answer(submission)
        except OstiaryError as error:
            if error.reason in _LATER:
                wait = min(error.retry_after or self._times.interval, self._times.longest)
                await self._postpone(check_id, wait)
            else:
                await self._failed(submission, error.message)
        except Exception as error:  # whatever it was, it must not take the other submissions with it
            _log.exception("bulk check failed", check_id=check_id)
            await self._failed(submission, type(error).__name__)

    async def _answer(self, submission: Submission) -> None:
        tenant, check_id = submission.tenant, submission.check_id
        if await self._recorder.get(tenant, check_id) is not None:
            # A process recorded it, and died before it could say so here.
            await self._close(submission, check_id)
            return
        try:
            raw = await self._evidence.get(tenant, check_id, REQUEST)
        except EvidenceError as error:
            raise OstiaryError(Reason.INTERNAL, "its request cannot be read any more") from error
        if raw is None:
            await self._without_request(submission)
            return
        check = await offload(
            quick_to_hash(len(raw)), lambda: ReceivedCheck.of(raw, CheckRequest.FromString(raw))
        )
        given_up = submission.attempts >= self._times.attempts
        async with self._admission.enter(_principal(submission), len(raw), None, Priority.BULK) as slot:
            slot.forget()
            if given_up:
                why = f"it failed {submission.attempts} times"
                answer = await self._checker.give_up(check_id, check, self._caller(submission), why)
            else:
                answer = await self._checker.check(check_id, check, self._caller(submission))
        await self._close(submission, answer.check_id)

    async def _without_request(self, submission: Submission) -> None:
        """Its key was answered and a process died before it could say so here; or it was erased."""
        found = await self._recorder.find(submission.tenant, submission.idempotency_key)
        same = found is not None and found.request_sha256 == submission.request_sha256
        if not same:
            _log.warning("bulk check has no request: it was erased", check_id=submission.check_id)
        answered_by = found.response.check_id if found is not None and same else submission.check_id
        await self._queue.finish(submission.check_id, answered_by)

    async def _close(self, submission: Submission, answered_by: str) -> None:
        """The request is discarded first: while it is there, its submission must be."""
        await self._evidence.discard(submission.tenant, submission.check_id, REQUEST)
        await self._queue.finish(submission.check_id, answered_by)

    async def _failed(self, submission: Submission, why: str) -> None:
        wait = min(self._times.retry * 2**submission.attempts, self._times.longest)
        _log.warning("bulk check is tried again", check_id=submission.check_id, why=why, seconds=wait)
        await self._postpone(submission.check_id, wait, failed=True)

    async def _postpone(self, check_id: str, seconds: float, *, failed: bool = False) -> None:
        try:
            await self._queue.postpone(check_id, seconds, failed=failed)
        except OstiaryError as error:
            # Its time with this process runs out, and it is due again then.
            _log.error("bulk queue failed", check_id=check_id, error=error.message)

    def _caller(self, submission: Submission) -> Caller:
        return Caller(_principal(submission), submission.version_pin, lambda: None, self._clock())


def _principal(submission: Submission) -> Principal:
    """Who submitted it, and may check in bulk: that was asked when it was accepted."""
    return Principal(SpiffeId.parse(submission.caller), submission.role, submission.tenant)
