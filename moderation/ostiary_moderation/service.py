"""InferenceService: what gateways call."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from google.protobuf.message import DecodeError

from ostiary.v1.inference_pb2 import (
    InferRequest,
    InferResponse,
    PutGalleryRequest,
    PutGalleryResponse,
    StatusRequest,
    StatusResponse,
)
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.observation_pb2 import StageTiming
from ostiary.wire.call import Body, Call, Handler, Unread, unread
from ostiary.wire.errors import OstiaryError, Reason, invalid_field
from ostiary.wire.telemetry import name_check
from ostiary_moderation.declaration import Declaration
from ostiary_moderation.detectors.runner import DetectorRunner
from ostiary_moderation.engine import Engine
from ostiary_moderation.gallery import Galleries
from ostiary_moderation.gauges import Gauges
from ostiary_moderation.inspection import Inspector
from ostiary_moderation.turns import Turns

MAX_IMAGES = 8


class InferenceService:
    """Takes checks in turn and answers with what was seen."""

    def __init__(
        self,
        inspector: Inspector,
        engine: Engine,
        declaration: Declaration,
        runners: Sequence[DetectorRunner],
        gauges: Gauges,
        turns: Turns,
        galleries: Galleries | None = None,
        looked: Callable[[Iterable[StageTiming]], None] = lambda timings: None,
    ) -> None:
        self._inspector = inspector
        self._engine = engine
        self._declaration = declaration
        self._runners = runners
        self._gauges = gauges
        self._turns = turns
        self._galleries = galleries or Galleries()
        self._looked = looked
        self._putting = asyncio.Lock()

    def handlers(self) -> Mapping[str, Handler | Unread[Handler]]:
        """Handlers by method name."""
        return {
            "Infer": unread(self.infer),
            "Status": self.status,
            "PutGallery": unread(self.put_gallery),
        }

    async def infer(self, body: Body, call: Call) -> InferResponse:
        """Look at one check, whose images are not in memory before it has its turn.

        Raises:
            OstiaryError: INVALID_FIELD: no well-formed check of one to eight images. OVERLOADED: too many
                wait. DEADLINE_EXPIRED: no time was left, or the model had no answer in time. UNAVAILABLE:
                decoder or model failed.
        """
        arrived = time.monotonic()
        async with self._turns.turn() as turn:
            waited, deadline = time.monotonic() - arrived, _deadline(call)
            # The images are the inspector's alone: a name for them here would keep them until the answer.
            check, detectors_only = _parse(await body.read())
            looking = self._inspector.inspect(check, turn, deadline, detectors_only=detectors_only)
            del check
            response = await looking
        response.timings.add(stage="queue").duration.FromNanoseconds(round(waited * 1e9))
        self._looked(response.timings)
        return response

    async def status(self, request: StatusRequest, call: Call) -> StatusResponse:
        """Say what is loaded and how busy the pod is."""
        usage, load, gallery = self._gauges.read(), self._engine.load(), self._galleries.in_force
        return StatusResponse(
            bundle=self._declaration.bundle,
            capabilities=sorted({*self._declaration.capabilities, *gallery.policies}),
            detectors=[
                *(runner.info(completed=True) for runner in self._runners),
                *(runner.info(completed=True) for runner in self._galleries.runners),
            ],
            queued=self._turns.queued,
            in_flight=self._turns.in_flight,
            images_waiting=load.waiting,
            descriptions_running=load.running,
            memory_splits=load.memory_splits,
            gpu_utilisation=usage.gpu_utilisation,
            memory_used_bytes=usage.memory_used,
            memory_total_bytes=usage.memory_total,
            gallery_digest=gallery.digest,
        )

    async def put_gallery(self, body: Body, call: Call) -> PutGalleryResponse:
        """Put a gallery in force, one at a time: they are large.

        Raises:
            OstiaryError: INVALID_FIELD: no well-formed gallery, or not the one that the digest is of.
                UNIMPLEMENTED: nothing here compares with galleries.
        """
        async with self._putting:
            gallery = await self._galleries.put(_parse_gallery(await body.read()))
        return PutGalleryResponse(digest=gallery.digest, refused=gallery.refused)


def _deadline(call: Call) -> float | None:
    """When the call must be answered, in `time.monotonic()` seconds. Raises OstiaryError if that is past."""
    remaining = call.remaining()
    if remaining is None:
        return None
    if remaining <= 0:
        late = "The deadline passed while the check waited for its turn: allow more time, or try another pod"
        raise OstiaryError(Reason.DEADLINE_EXPIRED, late)
    return time.monotonic() + remaining


def _parse(body: bytes) -> tuple[CheckRequest, bool]:
    """The check, and whether detectors alone are to look. Raises OstiaryError."""
    try:
        request = InferRequest.FromString(body)
    except DecodeError as error:
        raise invalid_field("request", "not a well-formed ostiary.v1.InferRequest: send one") from error
    name_check(request.check_id)
    try:
        check = CheckRequest.FromString(request.check_request)
    except DecodeError as error:
        words = "not a well-formed ostiary.v1.CheckRequest: send the caller's bytes"
        raise invalid_field("check_request", words) from error
    if not 1 <= len(check.images) <= MAX_IMAGES:
        words = f"{len(check.images)} images: send 1 to {MAX_IMAGES}"
        raise invalid_field("check_request.images", words)
    return check, request.detectors_only


def _parse_gallery(body: bytes) -> PutGalleryRequest:
    try:
        return PutGalleryRequest.FromString(body)
    except DecodeError as error:
        words = "not a well-formed ostiary.v1.PutGalleryRequest: send one"
        raise invalid_field("request", words) from error
