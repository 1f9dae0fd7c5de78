"""What reviewers and sellers may ask for, field by field."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from ostiary.v1.audit_pb2 import (
    RULING_ESCALATE,
    RULING_OVERTURN,
    RULING_UPHOLD,
    AddCommentRequest,
    ClaimCaseRequest,
    DecideCasesRequest,
    OpenAppealRequest,
    SetLegalHoldRequest,
)
from ostiary.wire.errors import OstiaryError
from ostiary_gateway.review import requests


def claim(seconds: int) -> ClaimCaseRequest:
    return ClaimCaseRequest(lease=Duration(seconds=seconds))


def decide(ruling: Any = RULING_UPHOLD, *ids: str, **more: Any) -> DecideCasesRequest:
    return DecideCasesRequest(
        **{"check_ids": ids or ["c"], "ruling": ruling, "internal_reason": "seen", **more}
    )


def comment(text: str, check_id: str = "c") -> AddCommentRequest:
    return AddCommentRequest(check_id=check_id, text=text)


def hold(reason: str, check_id: str = "c") -> SetLegalHoldRequest:
    return SetLegalHoldRequest(check_id=check_id, hold=True, reason=reason)


def appeal(statement: str, check_id: str = "c", callback: str = "") -> OpenAppealRequest:
    return OpenAppealRequest(check_id=check_id, statement=statement, callback_uri=callback)


@pytest.mark.parametrize(
    ("check", "asked", "field"),
    [
        (requests.lease, claim(59), "lease"),
        (requests.lease, claim(7201), "lease"),
        (requests.lease, claim(2**62), "lease"),
        (requests.check_decide, decide(check_ids=[]), "check_ids"),
        (requests.check_decide, decide(RULING_UPHOLD, *map(str, range(201))), "check_ids"),
        (requests.check_decide, decide(RULING_UPHOLD, "a", "a"), "check_ids"),
        (requests.check_decide, decide(0), "ruling"),
        (requests.check_decide, decide(9), "ruling"),
        (requests.check_decide, decide(internal_reason=""), "internal_reason"),
        (requests.check_decide, decide(internal_reason=" \n"), "internal_reason"),
        (requests.check_decide, decide(internal_reason="x" * 2001), "internal_reason"),
        (requests.check_decide, decide(seller_reason="x" * 2001), "seller_reason"),
        (requests.allow_for, decide(allow_for=Duration(seconds=600)), "allow_for"),
        (requests.allow_for, decide(RULING_OVERTURN, allow_for=Duration(seconds=-1)), "allow_for"),
        (requests.allow_for, decide(RULING_OVERTURN, allow_for=Duration(seconds=10**9)), "allow_for"),
        (requests.check_comment, comment(" "), "text"),
        (requests.check_comment, comment("x" * 4001), "text"),
        (requests.check_comment, comment("x", ""), "check_id"),
        (requests.check_hold, hold(""), "reason"),
        (requests.check_hold, hold("x" * 501), "reason"),
        (requests.check_hold, hold("x", ""), "check_id"),
        (requests.check_appeal, appeal(""), "statement"),
        (requests.check_appeal, appeal("x" * 4001), "statement"),
        (requests.check_appeal, appeal("x", ""), "check_id"),
        (requests.check_appeal, appeal("x", callback="https://x.example/" + "x" * 2000), "callback_uri"),
    ],
)
def test_what_is_refused(check: Callable[[Any], object], asked: Any, field: str) -> None:
    """The field is named."""
    with pytest.raises(OstiaryError) as caught:
        check(asked)
    assert [violation.field for violation in caught.value.violations] == [field]


@pytest.mark.parametrize(
    ("asked", "minutes"), [(ClaimCaseRequest(), 15), (claim(60), 1), (claim(7200), 120)], ids=str
)
def test_leases(asked: ClaimCaseRequest, minutes: int) -> None:
    """A quarter of an hour, or from a minute to two hours."""
    assert requests.lease(asked) == timedelta(minutes=minutes)


def test_how_long_an_overturn_allows() -> None:
    """Ninety days unless it says so; other rulings allow nothing, and have nothing to say about it."""
    assert requests.allow_for(decide(RULING_OVERTURN)) == timedelta(days=90)
    week = Duration(seconds=7 * 86_400)
    assert requests.allow_for(decide(RULING_OVERTURN, allow_for=week)) == timedelta(days=7)
    for ruling in (RULING_UPHOLD, RULING_ESCALATE):
        requests.check_decide(decide(ruling))
        requests.allow_for(decide(ruling))


def test_the_most_that_is_taken() -> None:
    """Limits belong to what is allowed."""
    requests.check_decide(
        decide(RULING_UPHOLD, *map(str, range(200)), internal_reason="x" * 2000, seller_reason="x" * 2000)
    )
    requests.check_comment(comment("字" * 4000))
    requests.check_hold(hold("x" * 500))
    requests.check_appeal(appeal("x" * 4000, callback="x" * 2000))
