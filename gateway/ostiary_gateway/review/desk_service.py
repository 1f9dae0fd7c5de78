"""The handlers of AuditService that change something: what reviewers decide, and sellers appeal."""

from collections.abc import Callable, Mapping
from datetime import datetime

from ostiary.v1.audit_pb2 import (
    AddCommentRequest,
    AddCommentResponse,
    ClaimCaseRequest,
    ClaimCaseResponse,
    DecideCasesRequest,
    DecideCasesResponse,
    OpenAppealRequest,
    OpenAppealResponse,
    SetLegalHoldRequest,
    SetLegalHoldResponse,
)
from ostiary.wire.call import Call, Handler
from ostiary_gateway.review import requests
from ostiary_gateway.review.addresses import CallbackGuard
from ostiary_gateway.review.callers import tenant_of
from ostiary_gateway.review.desk import Desk, RulingAsked
from ostiary_gateway.review.rulings import Reviewer
from ostiary_gateway.review.service import case_event
from ostiary_gateway.review.summary import summary
from ostiary_gateway.times import microseconds, utc_now


class DeskService:
    """What reviewers call; and pipelines, for their sellers' appeals. Cases are the caller's tenant's."""

    def __init__(self, desk: Desk, guard: CallbackGuard, clock: Callable[[], datetime] = utc_now) -> None:
        """`guard` says which callback addresses are taken; `clock` gives aware times."""
        self._desk = desk
        self._guard = guard
        self._clock = clock

    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by method name, as a server builder takes them."""
        return {
            "ClaimCase": self.claim_case,
            "DecideCases": self.decide_cases,
            "AddComment": self.add_comment,
            "OpenAppeal": self.open_appeal,
            "SetLegalHold": self.set_legal_hold,
        }

    async def claim_case(self, request: ClaimCaseRequest, call: Call) -> ClaimCaseResponse:
        """ClaimCase."""
        lease = requests.lease(request)
        line = await self._desk.claim(tenant_of(call), _reviewer(call), request.check_id, lease)
        answer = ClaimCaseResponse(summary=summary(line.record, line.standing, microseconds(self._clock())))
        answer.lease_until.FromMicroseconds(line.standing.lease_until_us)
        return answer

    async def decide_cases(self, request: DecideCasesRequest, call: Call) -> DecideCasesResponse:
        """DecideCases."""
        requests.check_decide(request)
        asked = RulingAsked(
            request.ruling, request.internal_reason, request.seller_reason, requests.allow_for(request)
        )
        outcomes = await self._desk.decide(tenant_of(call), _reviewer(call), request.check_ids, asked)
        return DecideCasesResponse(outcomes=outcomes)

    async def add_comment(self, request: AddCommentRequest, call: Call) -> AddCommentResponse:
        """AddComment."""
        requests.check_comment(request)
        event = await self._desk.comment(
            tenant_of(call), str(call.principal.id), request.check_id, request.text
        )
        return AddCommentResponse(event=case_event(event))

    async def open_appeal(self, request: OpenAppealRequest, call: Call) -> OpenAppealResponse:
        """OpenAppeal."""
        tenant = tenant_of(call)
        requests.check_appeal(request)
        if request.callback_uri:
            await self._guard.check(request.callback_uri)
        appeal_id = await self._desk.appeal(
            tenant, str(call.principal.id), request.check_id, request.statement, request.callback_uri
        )
        return OpenAppealResponse(appeal_id=appeal_id)

    async def set_legal_hold(self, request: SetLegalHoldRequest, call: Call) -> SetLegalHoldResponse:
        """SetLegalHold."""
        requests.check_hold(request)
        actor = str(call.principal.id)
        event = await self._desk.hold(
            tenant_of(call), actor, request.check_id, request.reason, held=request.hold
        )
        return SetLegalHoldResponse(event=case_event(event))


def _reviewer(call: Call) -> Reviewer:
    return Reviewer(str(call.principal.id), call.principal.role)
