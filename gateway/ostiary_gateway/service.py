"""The handlers of ModerationService."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

from ostiary.v1.moderation_pb2 import (
    CheckRequest,
    CheckResponse,
    CheckStreamHeader,
    CheckStreamRequest,
    CheckStreamResponse,
    GetCanonicalImageRequest,
    GetCanonicalImageResponse,
    Go,
)
from ostiary.wire.call import Body, Call, Handler, Unread, unread
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway import answer
from ostiary_gateway.admission import Admission, Slot
from ostiary_gateway.check import Caller, Checker
from ostiary_gateway.evidence import EvidenceStore, canonical_name
from ostiary_gateway.ids import new_check_id
from ostiary_gateway.offload import offload, quick_to_hash
from ostiary_gateway.rbac.scope import check_scope
from ostiary_gateway.received import ReceivedCheck
from ostiary_gateway.recorder import Recorder
from ostiary_gateway.request import MAX_IMAGE_BYTES, MAX_REQUEST_BYTES, parse_check, validate_header
from ostiary_gateway.upload import MAX_CHUNK_BYTES, receive_header, receive_images

VERSION_PIN = "ostiary-version-pin"
_SILENCE_SECONDS = 30.0


class ModerationService:
    """What upload pipelines call before they publish; bulk work is BulkService's."""

    def __init__(
        self,
        checker: Checker,
        admission: Admission,
        recorder: Recorder,
        evidence: EvidenceStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checker = checker
        self._admission = admission
        self._recorder = recorder
        self._evidence = evidence
        self._clock = clock

    def handlers(self) -> Mapping[str, Handler | Unread[Handler]]:
        """The handlers by method name, as a server builder takes them."""
        return {
            "Check": unread(self.check),
            "CheckStream": self.check_stream,
            "GetCanonicalImage": self.get_canonical_image,
        }

    async def check(self, body: Body, call: Call) -> CheckResponse:
        """Check: nothing of the body is taken in before there is a place for the longest."""
        caller = self._caller(call)
        async with self._admission.enter(call.principal, MAX_REQUEST_BYTES, call.remaining()) as slot:
            received = await _received(body)
            slot.resize(len(received))
            check = await offload(quick_to_hash(len(received)), _check_of, received)
            check_scope(call.principal, check.request.listing)
            return await self._judge(new_check_id(), check, caller, slot)

    async def check_stream(
        self, requests: AsyncIterator[CheckStreamRequest], call: Call
    ) -> AsyncGenerator[CheckStreamResponse, None]:
        """CheckStream: nothing is taken in before there is a place for all of it."""
        caller = self._caller(call)
        header = await receive_header(requests, _SILENCE_SECONDS)
        validate_header(header)
        check_scope(call.principal, header.request.listing)
        check_id = new_check_id()
        if any(size > MAX_IMAGE_BYTES for size in header.sizes):
            async with self._admission.enter(call.principal, 0, call.remaining()):
                refused = await self._checker.refuse_too_large(check_id, header, caller)
            yield CheckStreamResponse(response=refused)
            return
        async with self._admission.enter(call.principal, sum(header.sizes), call.remaining()) as slot:
            yield CheckStreamResponse(go=Go(check_id=check_id))
            check = await _assemble(requests, header)
            yield CheckStreamResponse(response=await self._judge(check_id, check, caller, slot))

    async def _judge(self, check_id: str, check: ReceivedCheck, caller: Caller, slot: Slot) -> CheckResponse:
        wants = answer.wanted(check.request)
        slot.begin(f"{len(check.request.images)} {'with' if wants.description else 'without'} description")
        response = await self._checker.check(check_id, check, caller)
        # An answer from the record took no look, nor does reuse; one without a pod or its model says nothing
        # about pods that look.
        receipt = response.receipt
        failed = receipt.cheap_tier or any(reason.code == "unavailable" for reason in response.hold_reasons)
        if response.replayed or failed or receipt.HasField("reused"):
            slot.forget()
        return response

    async def get_canonical_image(
        self, request: GetCanonicalImageRequest, call: Call
    ) -> AsyncGenerator[GetCanonicalImageResponse, None]:
        """GetCanonicalImage: of the caller's own tenant alone."""
        tenant = call.principal.tenant
        recorded = await self._recorder.get(tenant, request.check_id) if tenant else None
        images = recorded.response.images if recorded else []
        image = next((image for image in images if image.image_index == request.image_index), None)
        data = None
        if image is not None:
            name = canonical_name(request.image_index)
            data = await self._evidence.get(tenant, request.check_id, name)
        if image is None or data is None:
            words = "There is no such image: check the check_id, and that image_index names a readable image"
            raise OstiaryError(Reason.NOT_FOUND, words)
        for start in range(0, len(data), MAX_CHUNK_BYTES):
            chunk = data[start : start + MAX_CHUNK_BYTES]
            yield GetCanonicalImageResponse(image=None if start else image, data=chunk)

    def _caller(self, call: Call) -> Caller:
        return Caller(
            principal=call.principal,
            version_pin=call.metadata.get(VERSION_PIN, ""),
            remaining=call.remaining,
            since=self._clock(),
        )


def _check_of(received: bytes) -> ReceivedCheck:
    return ReceivedCheck.of(received, parse_check(received))


async def _assemble(requests: AsyncIterator[CheckStreamRequest], header: CheckStreamHeader) -> ReceivedCheck:
    """The check of the header with its images' data."""
    images = await receive_images(requests, header.sizes, _SILENCE_SECONDS)

    def assembled() -> ReceivedCheck:
        request = CheckRequest()
        request.CopyFrom(header.request)
        for image, data in zip(request.images, images, strict=True):
            image.data = data
        return ReceivedCheck.of(request.SerializeToString(deterministic=True), request)

    return await offload(quick_to_hash(sum(header.sizes)), assembled)


async def _received(body: Body) -> bytes:
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            return await body.read()
    except TimeoutError as error:
        words = f"The request did not come within {_SILENCE_SECONDS:g} s: send it at once"
        raise OstiaryError(Reason.DEADLINE_EXPIRED, words) from error
