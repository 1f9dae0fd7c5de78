"""AuditService as the owner of a profile calls it: every call tried again where that may help."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from ostiary.client import Profile
from ostiary.client.attempts import attempts
from ostiary.client.connection import Connection
from ostiary.client.retry import RetryPolicy
from ostiary.v1.audit_pb2 import (
    CaseEvent,
    CaseSummary,
    EraseCheckRequest,
    ExportCasesRequest,
    GetCaseRequest,
    GetCaseResponse,
    GetCheckpointRequest,
    GetConsistencyProofRequest,
    GetConsistencyProofResponse,
    GetEvidenceRequest,
    GetInclusionProofRequest,
    GetInclusionProofResponse,
    SearchCasesRequest,
    SearchCasesResponse,
    SetLegalHoldRequest,
)
from ostiary.v1.audit_pb2_grpc import AuditServiceStub

if TYPE_CHECKING:
    from ostiary.v1.audit_pb2_grpc import AuditServiceAsyncStub

Answer = TypeVar("Answer")
_MOST_PAGE = 200


class AuditCalls:
    """What a caller asks of the record. Methods raise OstiaryError."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        """`seconds` is the time that each call gets, with all its attempts."""
        self._connection = connection
        self._seconds = seconds

    async def search(self, search: SearchCasesRequest, most: int) -> AsyncIterator[CaseSummary]:
        """The cases, the newest first, page by page; at most `most`, 0: all of them."""
        asked = SearchCasesRequest()
        asked.CopyFrom(search)
        left = most
        while True:
            asked.page_size = min(left, _MOST_PAGE) if most else _MOST_PAGE
            page = await self._page(asked)
            for case in page.cases:
                yield case
            left -= len(page.cases)
            if not page.next_page_token or (most and left <= 0):
                return
            asked.page_token = page.next_page_token

    async def case(self, check_id: str) -> GetCaseResponse:
        """One case."""
        request = GetCaseRequest(check_id=check_id)
        return await self._ask(lambda stub, left: stub.GetCase(request, timeout=left))

    async def checkpoint(self) -> str:
        """The note of the newest checkpoint."""
        answer = await self._ask(lambda stub, left: stub.GetCheckpoint(GetCheckpointRequest(), timeout=left))
        return answer.checkpoint

    async def inclusion(self, log_index: int, size: int) -> GetInclusionProofResponse:
        """That an entry is in the log of `size` entries; 0: of the newest checkpoint's."""
        request = GetInclusionProofRequest(log_index=log_index, tree_size=size)
        return await self._ask(lambda stub, left: stub.GetInclusionProof(request, timeout=left))

    async def consistency(self, old_size: int, size: int) -> GetConsistencyProofResponse:
        """That the log of `size` entries extends the one of `old_size`."""
        request = GetConsistencyProofRequest(from_size=old_size, to_size=size)
        return await self._ask(lambda stub, left: stub.GetConsistencyProof(request, timeout=left))

    async def export(
        self,
        request: ExportCasesRequest,
        take: Callable[[AsyncIterator[bytes]], Awaitable[Answer]],
        retry: RetryPolicy | None = None,
    ) -> Answer:
        """What `take` makes of an export's bytes; it is called anew, from the first, for each attempt."""

        async def attempt(left: float) -> Answer:
            call = self._stub().ExportCases(request, timeout=left)
            try:
                return await take(part.data async for part in call)
            finally:
                call.cancel()

        return await attempts(retry or RetryPolicy(), self._seconds, attempt)

    async def evidence(
        self, check_id: str, image_index: int, reason: str, *, blurred: bool = False
    ) -> tuple[str, bytes]:
        """Media type and bytes of a picture, as it is or blurred; the view is recorded with the reason."""
        request = GetEvidenceRequest(
            check_id=check_id, image_index=image_index, unblurred=not blurred, reason=reason
        )

        async def attempt(left: float) -> tuple[str, bytes]:
            media_type, data = "", bytearray()
            async for part in self._stub().GetEvidence(request, timeout=left):
                media_type = media_type or part.media_type
                data += part.data
            return media_type, bytes(data)

        return await attempts(RetryPolicy(), self._seconds, attempt)

    async def erase(self, check_id: str, reason: str) -> CaseEvent:
        """The tombstone of a check of which nothing is left."""
        request = EraseCheckRequest(check_id=check_id, reason=reason)
        return (await self._ask(lambda stub, left: stub.EraseCheck(request, timeout=left))).event

    async def hold(self, check_id: str, reason: str, *, held: bool) -> CaseEvent:
        """The event of a legal hold that was set or lifted."""
        request = SetLegalHoldRequest(check_id=check_id, hold=held, reason=reason)
        return (await self._ask(lambda stub, left: stub.SetLegalHold(request, timeout=left))).event

    async def _page(self, asked: SearchCasesRequest) -> SearchCasesResponse:
        return await self._ask(lambda stub, left: stub.SearchCases(asked, timeout=left))

    async def _ask(self, call: Callable[["AuditServiceAsyncStub", float], Awaitable[Answer]]) -> Answer:
        return await attempts(RetryPolicy(), self._seconds, lambda left: call(self._stub(), left))

    def _stub(self) -> "AuditServiceAsyncStub":
        stub: AuditServiceAsyncStub = AuditServiceStub(self._connection.channel())
        return stub


@asynccontextmanager
async def open_calls(profile: Profile, seconds: float) -> AsyncIterator[AuditCalls]:
    """Calls as the profile's owner; the connection is closed on leaving."""
    connection = Connection(profile)
    try:
        yield AuditCalls(connection, seconds)
    finally:
        await connection.close()
