"""The review desk over mutual TLS: claimed, decided, commented on, held, appealed; each step on record."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.review.conftest import check_id, decision, record
from gateway.site import Running, Site
from ostiary.cli.audit.locate import Target
from ostiary.cli.audit.verify import Audit
from ostiary.tlog.keys import load_verifier_key
from ostiary.v1.audit_pb2 import (
    CASE_STATE_APPEALED,
    CASE_STATE_CLAIMED,
    CASE_STATE_DECIDED,
    CASE_STATE_OPEN,
    RULING_ESCALATE,
    RULING_OVERTURN,
    RULING_UPHOLD,
    AddCommentRequest,
    ClaimCaseRequest,
    DecideCasesRequest,
    GetCaseRequest,
    OpenAppealRequest,
    SearchCasesRequest,
    SetLegalHoldRequest,
)
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_REVIEW
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error

As = Callable[[str], Any]
ANNA = "spiffe://ostiary.local/tenant/demo/role/auditor/anna"


async def refusal(call: Awaitable[object]) -> OstiaryError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def claim(number: int | None = None, **more: Any) -> ClaimCaseRequest:
    return ClaimCaseRequest(check_id="" if number is None else check_id(number), **more)


def ruling(ruling: Any, *numbers: int, **more: Any) -> DecideCasesRequest:
    return DecideCasesRequest(
        check_ids=[check_id(number) for number in numbers], ruling=ruling, internal_reason="looked", **more
    )


async def kinds(as_: As, number: int) -> list[str]:
    case = await as_("auditor").GetCase(GetCaseRequest(check_id=check_id(number)), timeout=20)
    return [event.kind for event in case.events]


async def found(as_: As, **asked: Any) -> list[int]:
    answer = await as_("auditor").SearchCases(SearchCasesRequest(**asked), timeout=20)
    return [int(case.check_id[-12:]) for case in answer.cases]


async def test_the_queue(as_: As) -> None:
    """The gravest first, then the oldest; each case goes to one reviewer; then there is no more."""
    taken = []
    for who in ("anna", "bert", "anna"):
        answer = await as_(who).ClaimCase(claim(), timeout=20)
        assert answer.summary.state == CASE_STATE_CLAIMED
        assert answer.summary.claimed_by.endswith(who)
        left = answer.lease_until.ToDatetime(UTC) - datetime.now(UTC)
        assert timedelta(minutes=14) < left < timedelta(minutes=15, seconds=1)
        taken.append(int(answer.summary.check_id[-12:]))
    assert taken == [3, 1, 4]
    assert (await refusal(as_("bert").ClaimCase(claim(), timeout=20))).reason is Reason.NOT_FOUND
    assert await found(as_, states=[CASE_STATE_CLAIMED]) == [4, 3, 1]
    assert await found(as_, states=[CASE_STATE_OPEN]) == []


async def test_a_claim(as_: As) -> None:
    """A claimed case is one reviewer's, who can renew; what others do is refused, until the ruling."""
    await as_("anna").ClaimCase(claim(1), timeout=20)
    refused = await refusal(as_("bert").ClaimCase(claim(1), timeout=20))
    assert refused.reason is Reason.FAILED_PRECONDITION
    assert ANNA in refused.message
    answer = await as_("bert").DecideCases(ruling(RULING_UPHOLD, 1), timeout=20)
    assert ANNA in answer.outcomes[0].error
    renewed = await as_("anna").ClaimCase(claim(1, lease=Duration(seconds=7200)), timeout=20)
    assert renewed.lease_until.ToDatetime(UTC) - datetime.now(UTC) > timedelta(minutes=119)
    answer = await as_("anna").DecideCases(ruling(RULING_UPHOLD, 1), timeout=20)
    assert (answer.outcomes[0].verdict, answer.outcomes[0].error) == (VERDICT_BLOCK, "")
    assert await kinds(as_, 1) == ["decided", "claimed", "claimed", "ruled"]
    assert await found(as_, states=[CASE_STATE_DECIDED], verdicts=[VERDICT_BLOCK]) == [2, 1]


async def test_many_at_once(as_: As) -> None:
    """Each case has an outcome, in order; one that cannot be decided keeps none of the others from it."""
    await as_("bert").ClaimCase(claim(3), timeout=20)
    asked = ruling(RULING_OVERTURN, 4, 99, 3, 1, 5)
    outcomes = (await as_("anna").DecideCases(asked, timeout=20)).outcomes
    assert [each.check_id for each in outcomes] == list(asked.check_ids)
    assert [each.verdict for each in outcomes if not each.error] == [VERDICT_ALLOW] * 2
    assert [bool(each.error) for each in outcomes] == [False, True, True, False, True]
    assert await found(as_, verdicts=[VERDICT_ALLOW]) == [4, 1, 0]


async def test_escalated(as_: As) -> None:
    """What an auditor escalates, somebody who leads decides; nobody else is given it."""
    for number in (1, 3, 4):
        await as_("anna").DecideCases(ruling(RULING_ESCALATE, number), timeout=20)
    assert (await refusal(as_("bert").ClaimCase(claim(), timeout=20))).reason is Reason.NOT_FOUND
    answer = await as_("bert").DecideCases(ruling(RULING_UPHOLD, 1), timeout=20)
    assert "lead-auditor" in answer.outcomes[0].error
    assert (await as_("lead").ClaimCase(claim(), timeout=20)).summary.check_id == check_id(3)
    answer = await as_("lead").DecideCases(ruling(RULING_UPHOLD, 1, 3), timeout=20)
    assert [each.error for each in answer.outcomes] == ["", ""]


async def test_two_reviewers(filled: Site) -> None:
    """Where two have to agree, the second sees nothing of how the first ruled; then the case is decided."""
    async with filled.start(review={"double_verdicts": ["REVIEW"], "four_eyes": ["BLOCK"]}) as running:

        def as_(who: str) -> Any:
            return AuditServiceStub(running.channel(who))

        answer = await as_("anna").DecideCases(ruling(RULING_OVERTURN, 1, 2), timeout=20)
        assert [each.verdict for each in answer.outcomes] == [VERDICT_REVIEW, VERDICT_BLOCK]
        assert await kinds(as_, 1) == ["decided"]
        for who in ("anna", "lead"):
            shown = await as_(who).GetCase(GetCaseRequest(check_id=check_id(1)), timeout=20)
            assert [event.kind for event in shown.events] == ["decided", "ruled"]
        again = await as_("anna").DecideCases(ruling(RULING_OVERTURN, 1), timeout=20)
        assert "somebody else" in again.outcomes[0].error
        answer = await as_("bert").DecideCases(ruling(RULING_OVERTURN, 1, 2), timeout=20)
        assert [each.verdict for each in answer.outcomes] == [VERDICT_ALLOW, VERDICT_ALLOW]
        assert await kinds(as_, 1) == ["decided", "ruled", "ruled"]
        await as_("anna").DecideCases(ruling(RULING_UPHOLD, 4), timeout=20)
        answer = await as_("bert").DecideCases(ruling(RULING_OVERTURN, 4), timeout=20)
        assert answer.outcomes[0].verdict == VERDICT_REVIEW
        assert (await as_("lead").ClaimCase(claim(4), timeout=20)).summary.check_id == check_id(4)


async def test_comments_and_holds(as_: As) -> None:
    """They are on record, in the case's history; a hold stands until it is lifted."""
    said = await as_("anna").AddComment(AddCommentRequest(check_id=check_id(1), text="正品"), timeout=20)
    assert (said.event.kind, said.event.detail, said.event.actor) == ("commented", "正品", ANNA)
    hold = SetLegalHoldRequest(check_id=check_id(1), hold=True, reason="a court asks")
    assert (await as_("lead").SetLegalHold(hold, timeout=20)).event.kind == "held"
    assert (await as_("auditor").GetCase(GetCaseRequest(check_id=check_id(1)), timeout=20)).legal_hold
    again = await refusal(as_("lead").SetLegalHold(hold, timeout=20))
    assert again.reason is Reason.FAILED_PRECONDITION
    lift = SetLegalHoldRequest(check_id=check_id(1), reason="it no longer does")
    assert (await as_("admin").SetLegalHold(lift, timeout=20)).event.kind == "released"
    assert not (await as_("auditor").GetCase(GetCaseRequest(check_id=check_id(1)), timeout=20)).legal_hold


async def test_an_appeal(as_: As) -> None:
    """A pipeline appeals for its seller, once; the case waits in the queue, before others, until decided."""
    asked = OpenAppealRequest(check_id=check_id(2), statement="I am the brand's owner")
    assert (await as_("pipeline").OpenAppeal(asked, timeout=20)).appeal_id
    again = await refusal(as_("pipeline").OpenAppeal(asked, timeout=20))
    assert again.reason is Reason.ALREADY_EXISTS
    assert await found(as_, states=[CASE_STATE_APPEALED]) == [2]
    assert (await as_("anna").ClaimCase(claim(), timeout=20)).summary.check_id == check_id(2)
    await as_("anna").DecideCases(ruling(RULING_OVERTURN, 2, seller_reason="sorry"), timeout=20)
    assert await kinds(as_, 2) == ["decided", "appealed", "claimed", "ruled"]
    moot = await refusal(as_("pipeline").OpenAppeal(asked, timeout=20))
    assert moot.reason is Reason.FAILED_PRECONDITION
    other = await refusal(as_("stranger").OpenAppeal(asked, timeout=20))
    assert other.reason is Reason.NOT_FOUND


async def test_what_cannot_be_asked(as_: As) -> None:
    """The field is named, and nothing is recorded; addresses inside are no callbacks."""
    inside = OpenAppealRequest(check_id=check_id(2), statement="x", callback_uri="https://127.0.0.1/")
    for who, method, asked, field in (
        ("lead", "ClaimCase", claim(2, lease=Duration(seconds=59)), "lease"),
        ("lead", "DecideCases", DecideCasesRequest(check_ids=["x"], ruling=RULING_UPHOLD), "internal_reason"),
        ("lead", "AddComment", AddCommentRequest(check_id=check_id(2)), "text"),
        ("lead", "SetLegalHold", SetLegalHoldRequest(check_id=check_id(2), hold=True), "reason"),
        ("pipeline", "OpenAppeal", OpenAppealRequest(check_id=check_id(2)), "statement"),
        ("pipeline", "OpenAppeal", inside, "callback_uri"),
    ):
        refused = await refusal(getattr(as_(who), method)(asked, timeout=20))
        assert [violation.field for violation in refused.violations] == [field], method
    assert await kinds(as_, 2) == ["decided"]


async def test_who_may(as_: As) -> None:
    """What the roles say: pipelines do not review, administrators do not decide, and no one elsewhere."""
    for who, method, asked in (
        ("pipeline", "ClaimCase", claim()),
        ("pipeline", "DecideCases", ruling(RULING_OVERTURN, 1)),
        ("admin", "DecideCases", ruling(RULING_OVERTURN, 1)),
        ("anna", "SetLegalHold", SetLegalHoldRequest(check_id=check_id(1), hold=True, reason="x")),
        ("nobody", "AddComment", AddCommentRequest(check_id=check_id(1), text="x")),
    ):
        refused = await refusal(getattr(as_(who), method)(asked, timeout=20))
        assert refused.reason is Reason.PERMISSION_DENIED, (who, method)
    comment = AddCommentRequest(check_id=check_id(5), text="x")
    assert (await refusal(as_("anna").AddComment(comment, timeout=20))).reason is Reason.NOT_FOUND
    assert (await refusal(as_("anna").ClaimCase(claim(5), timeout=20))).reason is Reason.NOT_FOUND


async def test_a_lease_ends(filled: Site) -> None:
    """A claim that has run out frees the case, across a restart of the gateway too."""
    async with filled.start() as running:
        await AuditServiceStub(running.channel("anna")).ClaimCase(claim(1), timeout=20)
    with closing(sqlite3.connect(filled.folder / "data/ostiary.db", isolation_level=None)) as store:
        store.execute("UPDATE cases SET lease_until_us = 1 WHERE lease_until_us > 0")
    async with filled.start() as running:
        answer = await AuditServiceStub(running.channel("bert")).ClaimCase(claim(1), timeout=20)
        assert answer.summary.claimed_by.endswith("bert")


async def test_the_record_of_it_all_verifies(as_: As, desk: Running, filled: Site) -> None:
    """Every step is an entry of the log, and the audit finds the record whole."""
    await as_("anna").ClaimCase(claim(), timeout=20)
    await as_("anna").AddComment(AddCommentRequest(check_id=check_id(3), text="hm"), timeout=20)
    await as_("anna").DecideCases(ruling(RULING_OVERTURN, 3), timeout=20)
    await record(filled, decision(6))
    key = load_verifier_key(filled.folder / "log.vkey")
    target = Target(filled.folder / "log", key, Path(filled.folder / "data/ostiary.db"))
    audited = Audit(target, (), patience=5, progress=lambda done, total: None).run()
    assert (audited.decisions, audited.events) == (7, 3)
