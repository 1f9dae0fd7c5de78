"""InferenceService: what gateways call."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from google.protobuf.message import DecodeError

from ostiary.v1.inference_pb2 import InferRequest, InferResponse, StatusRequest, StatusResponse
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.call import Call, Handler
from ostiary.wire.errors import OstiaryError, Reason, invalid_field
from ostiary_moderation.declaration import Declaration
from ostiary_moderation.detectors.runner import DetectorRunner
from ostiary_moderation.gauges import Gauges
from ostiary_moderation.inspection import Inspector

MAX_IMAGES = 8
_RETRY_SECONDS = 1.0


class InferenceService:
    """Takes checks in turn, so many at once, and answers with what was seen."""

    def __init__(
        self,
        inspector: Inspector,
        declaration: Declaration,
        runners: Sequence[DetectorRunner],
        gauges: Gauges,
        *,
        max_in_flight: int = 2,
        max_queued: int = 64,
    ) -> None:
        self._inspector = inspector
        self._declaration = declaration
        self._runners = runners
        self._gauges = gauges
        self._max_queued = max_queued
        self._turns = asyncio.Semaphore(max_in_flight)
        self._queued = 0
        self._in_flight = 0

    def handlers(self) -> Mapping[str, Handler]:
        """Handlers by method name. PutGallery has none yet, and is answered UNIMPLEMENTED."""
        return {"Infer": self.infer, "Status": self.status}

    async def infer(self, request: InferRequest, call: Call) -> InferResponse:
        """Look at one check.

        Raises:
            OstiaryError: INVALID_FIELD: no well-formed check of one to eight images. OVERLOADED: too many
                wait. UNAVAILABLE: decoder or model failed.
        """
        check = _parse(request.check_request)
        arrived = time.monotonic()
        async with self._turn():
            waited = time.monotonic() - arrived
            response = await self._inspector.inspect(check)
        response.timings.add(stage="queue").duration.FromNanoseconds(round(waited * 1e9))
        return response

    async def status(self, request: StatusRequest, call: Call) -> StatusResponse:
        """Say what is loaded and how busy the pod is."""
        usage = self._gauges.read()
        return StatusResponse(
            bundle=self._declaration.bundle,
            capabilities=self._declaration.capabilities,
            detectors=[runner.info(completed=True) for runner in self._runners],
            queued=self._queued,
            in_flight=self._in_flight,
            gpu_utilisation=usage.gpu_utilisation,
            memory_used_bytes=usage.memory_used,
            memory_total_bytes=usage.memory_total,
        )

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait in line. One that goes away while waiting leaves the line."""
        if self._turns.locked() and self._queued >= self._max_queued:
            full = f"{self._queued} checks wait already: try another pod, or later"
            raise OstiaryError(Reason.OVERLOADED, full, retry_after=_RETRY_SECONDS)
        self._queued += 1
        try:
            await self._turns.acquire()
        finally:
            self._queued -= 1
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._turns.release()


def _parse(data: bytes) -> CheckRequest:
    try:
        check = CheckRequest.FromString(data)
    except DecodeError as error:
        words = "not a well-formed ostiary.v1.CheckRequest: send the caller's bytes"
        raise invalid_field("check_request", words) from error
    if not 1 <= len(check.images) <= MAX_IMAGES:
        words = f"{len(check.images)} images: send 1 to {MAX_IMAGES}"
        raise invalid_field("check_request.images", words)
    return check
