"""The handlers of AuditService that only read: what auditors find, see and prove."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from ostiary.v1.audit_pb2 import (
    CaseEvent,
    GetCaseRequest,
    GetCaseResponse,
    GetCheckpointRequest,
    GetCheckpointResponse,
    GetConsistencyProofRequest,
    GetConsistencyProofResponse,
    GetInclusionProofRequest,
    GetInclusionProofResponse,
    SearchCasesRequest,
    SearchCasesResponse,
)
from ostiary.v1.decision_pb2 import Verdict
from ostiary.wire.call import Call, Handler
from ostiary.wire.errors import OstiaryError, Reason, invalid_field, missing_field
from ostiary_gateway.case_log import RecordedEvent
from ostiary_gateway.review.asked import asked, token
from ostiary_gateway.review.callers import tenant_of
from ostiary_gateway.review.cases import Case, Cases, Log
from ostiary_gateway.review.rulings import Reviewer, ReviewRules, shown
from ostiary_gateway.review.summary import summary
from ostiary_gateway.times import microseconds, utc_now


class AuditService:
    """What compliance teams call. Cases are those of the caller's tenant; the log is everybody's."""

    def __init__(
        self, cases: Cases, log: Log, rules: ReviewRules, clock: Callable[[], datetime] = utc_now
    ) -> None:
        """`rules` say who may see what others ruled; `clock` gives aware times."""
        self._cases = cases
        self._log = log
        self._rules = rules
        self._clock = clock

    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by method name, as a server builder takes them."""
        return {
            "SearchCases": self.search_cases,
            "GetCase": self.get_case,
            "GetCheckpoint": self.get_checkpoint,
            "GetInclusionProof": self.get_inclusion_proof,
            "GetConsistencyProof": self.get_consistency_proof,
        }

    async def search_cases(self, request: SearchCasesRequest, call: Call) -> SearchCasesResponse:
        """SearchCases."""
        now_us = microseconds(self._clock())
        page = await self._cases.search(asked(request, tenant_of(call), now_us))
        return SearchCasesResponse(
            cases=[summary(line.record, line.standing, now_us) for line in page.lines],
            next_page_token=token(page.end),
        )

    async def get_case(self, request: GetCaseRequest, call: Call) -> GetCaseResponse:
        """GetCase."""
        tenant = tenant_of(call)
        if not request.check_id:
            raise missing_field("check_id", "name the check")
        case = await self._cases.get(tenant, request.check_id)
        if case is None:
            raise OstiaryError(Reason.NOT_FOUND, "There is no such case: check the check_id")
        reviewer = Reviewer(str(call.principal.id), call.principal.role)
        fit = replace(case, events=list(shown(case.events, reviewer, self._rules)))
        return case_answer(fit, microseconds(self._clock()))

    async def get_checkpoint(self, request: GetCheckpointRequest, call: Call) -> GetCheckpointResponse:
        """GetCheckpoint."""
        return GetCheckpointResponse(checkpoint=await self._log.checkpoint())

    async def get_inclusion_proof(
        self, request: GetInclusionProofRequest, call: Call
    ) -> GetInclusionProofResponse:
        """GetInclusionProof."""
        _check_not_negative("log_index", request.log_index)
        _check_not_negative("tree_size", request.tree_size)
        proof = await self._log.prove_inclusion(request.log_index, request.tree_size)
        return GetInclusionProofResponse(
            leaf_hash=proof.leaf_hash, path=proof.path, checkpoint=proof.checkpoint
        )

    async def get_consistency_proof(
        self, request: GetConsistencyProofRequest, call: Call
    ) -> GetConsistencyProofResponse:
        """GetConsistencyProof."""
        if request.from_size < 1:
            raise invalid_field("from_size", "send the size of the earlier tree, 1 or more")
        _check_not_negative("to_size", request.to_size)
        if 0 < request.to_size < request.from_size:
            raise invalid_field("to_size", "a log is extended by a longer one: send from_size or more")
        proof = await self._log.prove_consistency(request.from_size, request.to_size)
        return GetConsistencyProofResponse(path=proof.path, checkpoint=proof.checkpoint)


def case_answer(case: Case, now_us: int) -> GetCaseResponse:
    """A case in full, as it stands at a time: microseconds since 1970."""
    record = case.record
    return GetCaseResponse(
        summary=summary(record, case.standing, now_us),
        response=case.response,
        observations=record.observations if record.HasField("observations") else None,
        listing=record.listing,
        events=[_decided(case), *map(case_event, case.events)],
        legal_hold=case.standing.held,
    )


def case_event(event: RecordedEvent) -> CaseEvent:
    """An event on record, as it is shown."""
    record = event.record
    return CaseEvent(
        at=record.at,
        actor=record.actor,
        kind=record.kind,
        detail=record.detail,
        log_index=event.log_index,
    )


def _decided(case: Case) -> CaseEvent:
    """The first event of every case."""
    record, receipt = case.record, case.response.receipt
    verdict = Verdict.Name(record.response.verdict).removeprefix("VERDICT_")
    return CaseEvent(
        at=record.recorded_at,
        actor=record.caller,
        kind="decided",
        detail="" if case.erased else f"{verdict} by {receipt.policy}",
        log_index=receipt.log_index,
    )


def _check_not_negative(field: str, value: int) -> None:
    if value < 0:
        raise invalid_field(field, "send 0 or more")
