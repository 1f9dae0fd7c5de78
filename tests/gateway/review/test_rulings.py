"""What a ruling does, and who may give it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1.audit_pb2 import (
    CASE_STATE_APPEALED,
    CASE_STATE_DECIDED,
    CASE_STATE_OPEN,
    RULING_ESCALATE,
    RULING_OVERTURN,
    RULING_UPHOLD,
)
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_HOLD, VERDICT_REVIEW
from ostiary.v1.record_pb2 import NEXT_REVIEWER_LEAD, NEXT_REVIEWER_NONE, NEXT_REVIEWER_SECOND
from ostiary_gateway.review.rulings import RefusedRulingError, Reviewer, ReviewRules, rule
from ostiary_gateway.review.standing import Standing

ANNA, BERT, LEAD = Reviewer("anna", "auditor"), Reviewer("bert", "auditor"), Reviewer("lead", "lead-auditor")
ALONE, TWO = ReviewRules(), ReviewRules(double_share=1.0)
FOUR_EYES = ReviewRules(four_eyes=frozenset({VERDICT_BLOCK}))
OF_BLOCK = ReviewRules(double_verdicts=frozenset({VERDICT_BLOCK}))
NONE, SECOND, TO_LEAD = NEXT_REVIEWER_NONE, NEXT_REVIEWER_SECOND, NEXT_REVIEWER_LEAD


def standing(verdict: Any = VERDICT_REVIEW, state: Any = CASE_STATE_OPEN, **more: Any) -> Standing:
    return Standing(verdict, state, 7, **more)


UPHELD_ONCE = standing(next=SECOND, ruled_by="anna", ruling=RULING_UPHOLD)
ESCALATED = standing(next=TO_LEAD)
SETTLED = standing(VERDICT_BLOCK, CASE_STATE_DECIDED, next=NONE)


@pytest.mark.parametrize(
    ("case", "who", "ruling", "rules", "verdict", "next_"),
    [
        (standing(), ANNA, RULING_UPHOLD, ALONE, VERDICT_BLOCK, NONE),
        (standing(), ANNA, RULING_OVERTURN, ALONE, VERDICT_ALLOW, NONE),
        (standing(VERDICT_HOLD), ANNA, RULING_OVERTURN, ALONE, VERDICT_ALLOW, NONE),
        (standing(VERDICT_BLOCK, CASE_STATE_DECIDED), ANNA, RULING_UPHOLD, ALONE, VERDICT_BLOCK, NONE),
        (standing(VERDICT_ALLOW, CASE_STATE_DECIDED), ANNA, RULING_OVERTURN, ALONE, VERDICT_BLOCK, NONE),
        (standing(VERDICT_ALLOW, CASE_STATE_DECIDED), ANNA, RULING_UPHOLD, ALONE, VERDICT_ALLOW, NONE),
        (standing(), ANNA, RULING_ESCALATE, ALONE, VERDICT_REVIEW, TO_LEAD),
        (standing(), ANNA, RULING_UPHOLD, TWO, VERDICT_REVIEW, SECOND),
        (UPHELD_ONCE, BERT, RULING_UPHOLD, TWO, VERDICT_BLOCK, NONE),
        (UPHELD_ONCE, BERT, RULING_OVERTURN, TWO, VERDICT_REVIEW, TO_LEAD),
        (UPHELD_ONCE, BERT, RULING_ESCALATE, TWO, VERDICT_REVIEW, TO_LEAD),
        (ESCALATED, LEAD, RULING_OVERTURN, TWO, VERDICT_ALLOW, NONE),
        (standing(VERDICT_BLOCK), ANNA, RULING_OVERTURN, FOUR_EYES, VERDICT_BLOCK, SECOND),
        (standing(VERDICT_BLOCK), ANNA, RULING_UPHOLD, FOUR_EYES, VERDICT_BLOCK, NONE),
        (standing(), ANNA, RULING_OVERTURN, FOUR_EYES, VERDICT_ALLOW, NONE),
        (standing(VERDICT_BLOCK), ANNA, RULING_UPHOLD, OF_BLOCK, VERDICT_BLOCK, SECOND),
        (standing(claimed_by="anna", lease_until_us=9), ANNA, RULING_UPHOLD, ALONE, VERDICT_BLOCK, NONE),
        (standing(claimed_by="bert", lease_until_us=5), ANNA, RULING_UPHOLD, ALONE, VERDICT_BLOCK, NONE),
        (SETTLED, LEAD, RULING_OVERTURN, ALONE, VERDICT_ALLOW, NONE),
        (standing(VERDICT_BLOCK, CASE_STATE_APPEALED), ANNA, RULING_OVERTURN, ALONE, VERDICT_ALLOW, NONE),
    ],
)
def test_what_a_ruling_does(case: Any, who: Any, ruling: Any, rules: Any, verdict: Any, next_: Any) -> None:
    """The verdict that stands, and who has to rule next."""
    ruled = rule("check", case, who, ruling, rules, 5)
    assert (ruled.verdict, ruled.next) == (verdict, next_)


@pytest.mark.parametrize(
    ("case", "who", "ruling", "words"),
    [
        (standing(claimed_by="bert", lease_until_us=6), ANNA, RULING_UPHOLD, "bert has claimed it"),
        (standing(claimed_by="bert", lease_until_us=6), LEAD, RULING_UPHOLD, "bert has claimed it"),
        (UPHELD_ONCE, ANNA, RULING_UPHOLD, "somebody else has to agree"),
        (ESCALATED, ANNA, RULING_UPHOLD, "only lead-auditor decides it"),
        (ESCALATED, LEAD, RULING_ESCALATE, "escalated already"),
        (SETTLED, ANNA, RULING_OVERTURN, "it is decided"),
    ],
)
def test_who_may_not(case: Standing, who: Reviewer, ruling: Any, words: str) -> None:
    """What is somebody else's to decide is refused, in words."""
    with pytest.raises(RefusedRulingError, match=words):
        rule("check", case, who, ruling, TWO, 5)


@given(st.uuids().map(str), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_takes_in_a_smaller_one(check_id: str, one: float, other: float) -> None:
    """A case that two have to agree on at some share is one at every larger share, and never at none."""
    smaller, larger = sorted((one, other))

    def two(share: float) -> bool:
        return ReviewRules(double_share=share).needs_two(check_id, standing(), RULING_UPHOLD)

    assert two(smaller) <= two(larger)
    assert two(1.0)
    assert not two(0.0)
