"""One verdict per idempotency key, however often and however concurrently it is asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.recorder import DuplicateKey, Recorder


@dataclass
class _Running:
    place: tuple[str, str]
    request_sha256: bytes
    task: asyncio.Task[CheckResponse]
    waiting: int = 0


class Idempotency:
    """Runs the work for a key once: a key on record is answered from it, concurrent callers share one run.

    Across processes the record decides: the second to record a key gets the first one's answer. For one event
    loop.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._running: dict[tuple[str, str], _Running] = {}

    async def run(
        self, tenant: str, key: str, request_sha256: bytes, work: Callable[[], Awaitable[CheckResponse]]
    ) -> CheckResponse:
        """The answer to `key`: recorded, of a run under way, or of `work`, which records it.

        The run goes on while anybody waits for it, and is cancelled when nobody does.

        Raises:
            OstiaryError: ALREADY_EXISTS where the key was used with another request; what `work` and the
                recorder raise.
        """
        if not key:
            return await work()
        running = self._running.get((tenant, key))
        if running is None:
            return await self._wait(self._start(tenant, key, request_sha256, work))
        if running.request_sha256 != request_sha256:
            raise another_request()
        return _replayed(await self._wait(running))

    def _start(
        self, tenant: str, key: str, request_sha256: bytes, work: Callable[[], Awaitable[CheckResponse]]
    ) -> _Running:
        task = asyncio.create_task(self._answer(tenant, key, request_sha256, work))
        running = _Running((tenant, key), request_sha256, task)
        self._running[running.place] = running
        task.add_done_callback(lambda _: self._forget(running))
        return running

    def _forget(self, running: _Running) -> None:
        if self._running.get(running.place) is running:
            del self._running[running.place]

    async def _answer(
        self, tenant: str, key: str, request_sha256: bytes, work: Callable[[], Awaitable[CheckResponse]]
    ) -> CheckResponse:
        recorded = await self._recorder.find(tenant, key)
        if recorded is not None:
            return _same_request(recorded.response, recorded.request_sha256, request_sha256)
        try:
            return await work()
        except DuplicateKey as taken:
            return _same_request(taken.recorded, taken.request_sha256, request_sha256)

    async def _wait(self, running: _Running) -> CheckResponse:
        running.waiting += 1
        try:
            return await asyncio.shield(running.task)
        finally:
            running.waiting -= 1
            if not running.waiting and not running.task.done():
                # Forgotten first: whoever comes next must not join a run that is being cancelled.
                self._forget(running)
                running.task.cancel()


def _same_request(response: CheckResponse, recorded: bytes, asked: bytes) -> CheckResponse:
    if recorded != asked:
        raise another_request()
    return _replayed(response)


def _replayed(response: CheckResponse) -> CheckResponse:
    copy = CheckResponse()
    copy.CopyFrom(response)
    copy.replayed = True
    return copy


def another_request() -> OstiaryError:
    """What a caller hears who uses a key for a second request."""
    return OstiaryError(
        Reason.ALREADY_EXISTS,
        "The idempotency key was used with another request: use a new key for a new request",
    )
