"""The handler of GetEvidence: each view is on record before its first byte leaves."""

from collections.abc import AsyncGenerator, Mapping

import structlog

from ostiary.v1.audit_pb2 import GetEvidenceRequest, GetEvidenceResponse
from ostiary.v1.image_pb2 import CanonicalImage
from ostiary.v1.record_pb2 import EventRecord, EventView
from ostiary.wire.call import Call, Handler
from ostiary.wire.errors import OstiaryError, Reason, invalid_field, missing_field
from ostiary_gateway.case_log import CaseLog
from ostiary_gateway.evidence import EvidenceError, EvidenceStore, blurred_name, canonical_name
from ostiary_gateway.offload import sha256
from ostiary_gateway.review.callers import tenant_of
from ostiary_gateway.review.cases import Case, Cases
from ostiary_gateway.review.standing import VIEWED

MOST_REASON = 500
MAX_CHUNK_BYTES = 1024 * 1024
_log = structlog.get_logger(__name__)


class EvidenceView:
    """Shows the images of a tenant's cases: blurred, or as they are to those who say why."""

    def __init__(self, cases: Cases, evidence: EvidenceStore, log: CaseLog) -> None:
        self._cases = cases
        self._evidence = evidence
        self._log = log

    def handlers(self) -> Mapping[str, Handler]:
        """The handler by its method's name."""
        return {"GetEvidence": self.get_evidence}

    async def get_evidence(
        self, request: GetEvidenceRequest, call: Call
    ) -> AsyncGenerator[GetEvidenceResponse, None]:
        """GetEvidence."""
        tenant = tenant_of(call)
        _check(request)
        case = await self._cases.get(tenant, request.check_id)
        if case is None:
            raise OstiaryError(Reason.NOT_FOUND, "There is no such case: check the check_id")
        image = _image(case, request.image_index)
        name = (canonical_name if request.unblurred else blurred_name)(request.image_index)
        # Read first: what cannot be shown is no view. Nothing of it leaves before the view is on record.
        data = await self._read(tenant, request, name)
        if request.unblurred and await sha256(data) != image.sha256:
            raise OstiaryError(Reason.INTERNAL, "This evidence is not what was looked at: it was altered")
        await self._log.append(_view(request, call, tenant, name))
        media_type = image.media_type if request.unblurred else "image/jpeg"
        for start in range(0, len(data), MAX_CHUNK_BYTES):
            chunk = data[start : start + MAX_CHUNK_BYTES]
            yield GetEvidenceResponse(media_type="" if start else media_type, data=chunk)

    async def _read(self, tenant: str, request: GetEvidenceRequest, name: str) -> bytes:
        try:
            data = await self._evidence.get(tenant, request.check_id, name)
        except EvidenceError as error:
            _log.error("evidence cannot be opened", check_id=request.check_id, error=str(error))
            words = (
                "This evidence cannot be opened: it was altered, or is of another key; see the gateway's log"
            )
            raise OstiaryError(Reason.INTERNAL, words) from error
        if data:
            return data
        if request.unblurred:
            raise OstiaryError(Reason.NOT_FOUND, "The evidence of this image is not kept any more")
        # Never the image as it is in place of a blurred one.
        words = "No blurred rendition of this image is kept: ask for it unblurred, with a reason"
        raise OstiaryError(Reason.FAILED_PRECONDITION, words)


def _check(request: GetEvidenceRequest) -> None:
    if not request.check_id:
        raise missing_field("check_id", "name the check")
    if request.image_index < 0:
        raise invalid_field("image_index", "images count from 0")
    if request.unblurred and not request.reason.strip():
        raise missing_field("reason", "say why it has to be seen as it is, or leave it blurred")
    if len(request.reason) > MOST_REASON:
        raise invalid_field("reason", f"send at most {MOST_REASON} characters")


def _image(case: Case, index: int) -> CanonicalImage:
    if case.erased:
        raise OstiaryError(Reason.NOT_FOUND, "This check was erased: nothing of it is left to see")
    image = next((image for image in case.response.images if image.image_index == index), None)
    if image is None:
        words = f"The check has no readable image {index}: see response.images in GetCase"
        raise OstiaryError(Reason.NOT_FOUND, words)
    return image


def _view(request: GetEvidenceRequest, call: Call, tenant: str, name: str) -> EventRecord:
    seen = "as it is" if request.unblurred else "blurred"
    return EventRecord(
        check_id=request.check_id,
        tenant=tenant,
        actor=str(call.principal.id),
        kind=VIEWED,
        detail=f"image {request.image_index}, {seen}",
        reason=request.reason,
        view=EventView(item=name, unblurred=request.unblurred),
    )
