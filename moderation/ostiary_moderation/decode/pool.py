"""A pool of decoding workers with one warm spare."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.process import DecodeWorker, Room, WorkerLostError
from ostiary_moderation.decode.protocol import ProtocolError
from ostiary_moderation.decode.result import Canonical, Fault, FaultCode
from ostiary_moderation.views import ViewSpec

_log = structlog.get_logger(__name__)
_START_ERRORS = (OSError, EOFError, TimeoutError, ProtocolError)
_RETRY_SECONDS = 1.0
_T = TypeVar("_T")


class NoDecoderError(Exception):
    """No worker could be had: the pod's fault, not the image's."""


class DecodePool:
    """Decodes up to `workers` images at once, each in a process of its own.

    One process more than that is kept warm, so that the next image never waits for one to start after a
    worker crashed, stalled or was retired with `images_per_worker` images. `views`: what they make of each
    frame for the model. Use as an async context manager.
    """

    def __init__(
        self,
        workers: int = 1,
        limits: Limits | None = None,
        images_per_worker: int = 100,
        views: ViewSpec | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError("a pool needs at least one worker")
        self.limits = limits or Limits()
        self._views = views
        self._processes = workers + 1
        self._images_per_worker = images_per_worker
        self._busy = asyncio.Semaphore(workers)
        self._idle: asyncio.Queue[DecodeWorker] = asyncio.Queue()
        self._workers: set[DecodeWorker] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "DecodePool":
        """Start the workers. Raises NoDecoderError where one does not come up."""
        outcomes = await asyncio.gather(
            *(self._add() for _ in range(self._processes)), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                await self.__aexit__()
                raise NoDecoderError(f"a decoder did not start: {outcome!r}") from outcome
        worker = next(iter(self._workers))
        _log.info("decoders ready", processes=self._processes, confinement=list(worker.confinement))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))
        self._workers.clear()

    @property
    def pids(self) -> frozenset[int]:
        """Process ids of the workers that are up."""
        return frozenset(worker.pid for worker in self._workers)

    async def decode(
        self, data: bytes, *, pixels: bool = True, room: Room | None = None
    ) -> Canonical | Fault:
        """Return the canonical image of an encoded file, or why there is none.

        `pixels`: whether full pixels are wanted beside file and views. `room`: is told how many bytes the
        answer has before they are read, and may wait until there is memory for them; images get their worker
        in the order of the calls. Never raises for what the file holds. Raises NoDecoderError where no worker
        comes up in time.
        """
        if not data:
            return Fault(FaultCode.EMPTY, "the image has no bytes")
        if len(data) > self.limits.max_bytes:
            return Fault(
                FaultCode.TOO_LARGE, f"{len(data)} bytes; at most {self.limits.max_bytes} are accepted"
            )
        async with self._busy:
            worker = await self._take()
            # Shielded: a caller that gives up must not cost a process. The worker finishes and goes back.
            return await asyncio.shield(self._spawn(self._use(worker, data, pixels, room)))

    async def _take(self) -> DecodeWorker:
        try:
            async with asyncio.timeout(2 * self.limits.wall_seconds):
                while not (worker := await self._idle.get()).alive:
                    self._spawn(self._replace(worker))
        except TimeoutError as error:
            raise NoDecoderError("no decoder came up in time") from error
        return worker

    async def _use(
        self, worker: DecodeWorker, data: bytes, pixels: bool, room: Room | None
    ) -> Canonical | Fault:
        try:
            outcome = await worker.canonicalise(data, pixels=pixels, room=room)
        except WorkerLostError as lost:
            _log.warning("decoder lost", pid=worker.pid, code=lost.fault.code.value, detail=lost.fault.detail)
            self._spawn(self._replace(worker))
            return lost.fault
        except Exception:
            # Whatever went wrong, the pool must not run dry.
            self._spawn(self._replace(worker))
            raise
        if worker.images < self._images_per_worker:
            self._idle.put_nowait(worker)
        else:
            self._spawn(self._replace(worker))
        return outcome

    async def _replace(self, worker: DecodeWorker) -> None:
        self._workers.discard(worker)
        await worker.close()
        while True:
            try:
                return await self._add()
            except _START_ERRORS as error:
                _log.error("a decoder did not start; trying again", error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _add(self) -> None:
        worker = await DecodeWorker.start(self.limits, self._views)
        self._workers.add(worker)
        self._idle.put_nowait(worker)

    def _spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
