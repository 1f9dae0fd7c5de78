"""The handlers of ModerationService for bulk work: Submit, GetCheck and WatchChecks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

from google.protobuf.message import DecodeError

from ostiary.v1.moderation_pb2 import (
    GetCheckRequest,
    GetCheckResponse,
    SubmitRequest,
    SubmitResponse,
    WatchChecksRequest,
    WatchChecksResponse,
)
from ostiary.wire.call import Body, Call, Handler, Unread, unread
from ostiary.wire.errors import OstiaryError, Reason, invalid_field, missing_field
from ostiary_gateway.bulk.queue import BulkQueue, Submission
from ostiary_gateway.bulk.worker import REQUEST
from ostiary_gateway.evidence import EvidenceStore
from ostiary_gateway.idempotency import another_request
from ostiary_gateway.ids import new_check_id
from ostiary_gateway.offload import sha256
from ostiary_gateway.rbac.scope import check_scope
from ostiary_gateway.recorder import Recorded, Recorder
from ostiary_gateway.request import parse_check
from ostiary_gateway.review.cases import Cases
from ostiary_gateway.review.standing import seller_reason

VERSION_PIN = "ostiary-version-pin"
_AT_ONCE = 16  # bodies in memory
_PAGE = 100
_WATCH_INTERVAL = 0.25
_BODY_SECONDS = 30.0


class BulkService:
    """Accepts checks, and tells what came of them. For one event loop."""

    def __init__(
        self,
        queue: BulkQueue,
        recorder: Recorder,
        evidence: EvidenceStore,
        accepted: Callable[[], None] = lambda: None,
        cases: Cases | None = None,
    ) -> None:
        """`accepted` is told of each new submission; `cases` know what reviewers made of decisions."""
        self._queue = queue
        self._recorder = recorder
        self._evidence = evidence
        self._accepted = accepted
        self._cases = cases
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._closing = asyncio.Event()

    def handlers(self) -> Mapping[str, Handler | Unread[Handler]]:
        """The handlers by method name."""
        return {
            "Submit": unread(self.submit),
            "GetCheck": self.get_check,
            "WatchChecks": self.watch_checks,
        }

    def close(self) -> None:
        """End the streams of those who watch: they go on elsewhere from their cursors."""
        self._closing.set()

    async def submit(self, body: Body, call: Call) -> SubmitResponse:
        """Submit: when it returns, the check is durable and will come to an answer."""
        tenant = _tenant(call)
        async with self._room:
            raw = _request(await _received(body))
            request = parse_check(raw)
            if not request.idempotency_key:
                raise missing_field("request.idempotency_key", "give one, so that a retry is no second check")
            check_scope(call.principal, request.listing)
            digest = await sha256(raw)
            recorded = await self._recorder.find(tenant, request.idempotency_key)
            if recorded is not None:
                return _accepted(recorded.response.check_id, recorded.request_sha256, digest)
            new = Submission(
                check_id=new_check_id(),
                tenant=tenant,
                idempotency_key=request.idempotency_key,
                request_sha256=digest,
                caller=str(call.principal.id),
                role=call.principal.role,
                version_pin=call.metadata.get(VERSION_PIN, ""),
            )
            return await self._add(new, raw)

    async def get_check(self, request: GetCheckRequest, call: Call) -> GetCheckResponse:
        """GetCheck: of the caller's own tenant alone."""
        tenant = _tenant(call)
        submission = await self._queue.find(tenant, request.check_id)
        answered_by = (submission.answered_by if submission else "") or request.check_id
        recorded = await self._recorder.get(tenant, answered_by)
        if recorded is not None:
            return await self._as_it_stands(tenant, recorded)
        if submission is None:
            # It may have been answered between the two questions.
            recorded = await self._recorder.get(tenant, request.check_id)
        if submission is None and recorded is None:
            raise OstiaryError(Reason.NOT_FOUND, "There is no such check: check the check_id")
        return await self._as_it_stands(tenant, recorded) if recorded else GetCheckResponse(pending=True)

    async def watch_checks(
        self, request: WatchChecksRequest, call: Call
    ) -> AsyncGenerator[WatchChecksResponse, None]:
        """WatchChecks: the decisions of the caller's tenant, in the order of the log."""
        tenant = _tenant(call)
        after = _cursor(request.cursor) if request.cursor else await self._recorder.last()
        while not self._closing.is_set():
            page = await self._recorder.since(tenant, after, _PAGE)
            for recorded in page:
                yield _outcome(recorded)
                after = recorded.response.receipt.log_index
            if len(page) < _PAGE:
                await self._pause()

    async def _as_it_stands(self, tenant: str, recorded: Recorded) -> GetCheckResponse:
        """The answer as it was given, and what stands now."""
        response = recorded.response
        case = await self._cases.get(tenant, response.check_id) if self._cases else None
        verdict = case.standing.verdict if case else response.verdict
        reason = seller_reason(case.events) if case else ""
        return GetCheckResponse(response=response, verdict=verdict, reviewer_reason=reason)

    async def _add(self, new: Submission, raw: bytes) -> SubmitResponse:
        await self._evidence.put(new.tenant, new.check_id, REQUEST, raw)
        try:
            held = await self._queue.add(new)
        except OstiaryError:
            await self._evidence.discard(new.tenant, new.check_id, REQUEST)
            raise
        if held.check_id != new.check_id:
            await self._evidence.discard(new.tenant, new.check_id, REQUEST)
            return _accepted(held.check_id, held.request_sha256, new.request_sha256)
        self._accepted()
        return SubmitResponse(check_id=new.check_id)

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), _WATCH_INTERVAL)
        except TimeoutError:
            return


def _tenant(call: Call) -> str:
    tenant = call.principal.tenant
    if not tenant:
        words = (
            f"{call.principal.id} belongs to no tenant, and a check needs one: name it in the gateway's roles"
        )
        raise OstiaryError(Reason.PERMISSION_DENIED, words)
    return tenant


async def _received(body: Body) -> bytes:
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await body.read()
    except TimeoutError as error:
        words = f"The request did not come within {_BODY_SECONDS:g} s: send it at once"
        raise OstiaryError(Reason.DEADLINE_EXPIRED, words) from error


def _request(received: bytes) -> bytes:
    """The serialised CheckRequest within a SubmitRequest."""
    try:
        submitted = SubmitRequest.FromString(received)
    except DecodeError as error:
        raise invalid_field("request", "send a serialised ostiary.v1.SubmitRequest") from error
    return submitted.request.SerializeToString(deterministic=True)


def _accepted(check_id: str, held: bytes, asked: bytes) -> SubmitResponse:
    if held != asked:
        raise another_request()
    return SubmitResponse(check_id=check_id)


def _cursor(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise invalid_field("cursor", "send the cursor of the last outcome, or leave it empty")
    return int(text)


def _outcome(recorded: Recorded) -> WatchChecksResponse:
    receipt = recorded.response.receipt
    return WatchChecksResponse(
        response=recorded.response, cursor=str(receipt.log_index), decided_at=receipt.decided_at
    )
