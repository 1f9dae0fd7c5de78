"""The handlers of ModerationService."""

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
from ostiary.wire.call import Call, Handler, Raw, raw
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.admission import Admission
from ostiary_gateway.check import Caller, Checker, evidence_name
from ostiary_gateway.evidence import EvidenceStore
from ostiary_gateway.ids import new_check_id
from ostiary_gateway.rbac.scope import check_scope
from ostiary_gateway.recorder import Recorder
from ostiary_gateway.request import MAX_IMAGE_BYTES, parse_check, validate_header
from ostiary_gateway.upload import MAX_CHUNK_BYTES, receive_header, receive_images

VERSION_PIN = "ostiary-version-pin"
_SILENCE_SECONDS = 30.0


class ModerationService:
    """What upload pipelines call. Submit, GetCheck and WatchChecks have no handler yet."""

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

    def handlers(self) -> Mapping[str, Handler | Raw[Handler]]:
        """The handlers by method name, as a server builder takes them."""
        return {
            "Check": raw(self.check),
            "CheckStream": self.check_stream,
            "GetCanonicalImage": self.get_canonical_image,
        }

    async def check(self, body: bytes, call: Call) -> CheckResponse:
        """Check: `body` is the request as it came."""
        caller = self._caller(call)
        with self._admission.enter(call.principal, len(body), call.remaining()):
            request = parse_check(body)
            check_scope(call.principal, request.listing)
            return await self._checker.check(new_check_id(), body, request, caller)

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
            with self._admission.enter(call.principal, 0, call.remaining()):
                refused = await self._checker.refuse_too_large(check_id, header, caller)
            yield CheckStreamResponse(response=refused)
            return
        with self._admission.enter(call.principal, sum(header.sizes), call.remaining()):
            yield CheckStreamResponse(go=Go(check_id=check_id))
            request = await _assemble(requests, header)
            body = request.SerializeToString(deterministic=True)
            yield CheckStreamResponse(response=await self._checker.check(check_id, body, request, caller))

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
            name = evidence_name(request.image_index)
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


async def _assemble(requests: AsyncIterator[CheckStreamRequest], header: CheckStreamHeader) -> CheckRequest:
    """The request of the header with its images' data."""
    request = header.request
    for image, data in zip(
        request.images, await receive_images(requests, header.sizes, _SILENCE_SECONDS), strict=True
    ):
        image.data = data
    return request
