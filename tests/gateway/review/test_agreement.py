"""How far reviewers agree: Cohen's kappa, of reviewers and of bundles."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1.audit_pb2 import RULING_ESCALATE, RULING_OVERTURN, RULING_UPHOLD
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_REVIEW
from ostiary.v1.record_pb2 import (
    NEXT_REVIEWER_LEAD,
    NEXT_REVIEWER_NONE,
    NEXT_REVIEWER_SECOND,
    NEXT_REVIEWER_UNSPECIFIED,
    EventRecord,
    EventRuling,
)
from ostiary_gateway.review.agreement import Agreement, Reviewed, agreement, by_bundle, by_reviewer
from ostiary_gateway.review.golden import parse_golden

ANY, NONE, SECOND, LEAD = (
    NEXT_REVIEWER_UNSPECIFIED,
    NEXT_REVIEWER_NONE,
    NEXT_REVIEWER_SECOND,
    NEXT_REVIEWER_LEAD,
)


def table(both: int, left: int, right: int, neither: int) -> list[tuple[str, str]]:
    return [("y", "y")] * both + [("y", "n")] * left + [("n", "y")] * right + [("n", "n")] * neither


@pytest.mark.parametrize(
    ("pairs", "same", "kappa"),
    [
        (table(20, 5, 10, 15), 0.7, 0.4),  # a textbook's: p_o 0.7, p_e 0.5
        (table(45, 15, 25, 15), 0.6, 0.1304),
        (table(25, 35, 5, 35), 0.6, 0.2593),
        (table(5, 0, 0, 5), 1.0, 1.0),
        (table(0, 5, 5, 0), 0.0, -1.0),
        (table(1, 1, 1, 1), 0.5, 0.0),
        ([("a", "a"), ("b", "b"), ("c", "c"), ("a", "b")], 0.75, 0.6364),
    ],
)
def test_kappa(pairs: list[tuple[str, str]], same: float, kappa: float) -> None:
    """Known values."""
    found = agreement(pairs)
    assert found.pairs == len(pairs)
    assert found.same == pytest.approx(same)
    assert found.kappa == pytest.approx(kappa, abs=1e-4)


@pytest.mark.parametrize("pairs", [[], [("y", "y")] * 3], ids=["nothing", "one answer only"])
def test_no_kappa(pairs: list[tuple[str, str]]) -> None:
    """Where chance alone would have them agree, nothing can be said."""
    assert agreement(pairs).kappa is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=40))
def test_what_kappa_is(pairs: list[tuple[str, str]]) -> None:
    """It is the same from both sides, at most 1, and 1 exactly where all answers are the same."""
    one, other = agreement(pairs), agreement([(right, left) for left, right in pairs])
    assert one.kappa == other.kappa
    if one.kappa is not None:
        assert one.kappa <= 1
        assert (one.kappa == 1) == all(left == right for left, right in pairs)
        assert math.isfinite(one.kappa)


def ruled(who: str, ruling: Any, next_: Any, verdict: Any = VERDICT_REVIEW) -> EventRecord:
    return EventRecord(
        actor=who, kind="ruled", ruling=EventRuling(ruling=ruling, next=next_, verdict=verdict)
    )


def test_reviewers() -> None:
    """Each with whoever ruled in the same round, or with what is known; escalations are no answers."""
    cases = [
        Reviewed(
            "agreed",
            VERDICT_REVIEW,
            "mini@1",
            [
                ruled("anna", RULING_UPHOLD, SECOND),
                ruled("bert", RULING_UPHOLD, NONE, VERDICT_BLOCK),
                ruled("cleo", RULING_OVERTURN, NONE, VERDICT_ALLOW),
            ],
        ),
        Reviewed(
            "disputed",
            VERDICT_REVIEW,
            "mini@1",
            [
                ruled("anna", RULING_OVERTURN, SECOND),
                ruled("bert", RULING_UPHOLD, LEAD),
                ruled("lead", RULING_OVERTURN, NONE, VERDICT_ALLOW),
            ],
        ),
        Reviewed("escalated", VERDICT_REVIEW, "", [ruled("anna", RULING_ESCALATE, LEAD)]),
        Reviewed(
            "golden",
            VERDICT_REVIEW,
            "mini@2",
            [ruled("anna", RULING_OVERTURN, ANY), ruled("dora", RULING_UPHOLD, ANY)],
        ),
    ]
    found = by_reviewer(cases, {"golden": RULING_OVERTURN})
    assert {who: (each.pairs, each.same) for who, each in found.items()} == {
        "anna": (4, 0.75),
        "bert": (3, pytest.approx(1 / 3)),
        "dora": (1, 0.0),
        "lead": (2, 0.5),
    }
    bundles = by_bundle(cases, {"golden": RULING_OVERTURN})
    assert bundles == {"mini@1": Agreement(2, 0.0, 0.0), "mini@2": Agreement(1, 0.0, 0.0)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: the columns"),
        ("check_id\n", "line 1: the columns"),
        ("check_id,ruling\na,escalate\n", "line 2: write a check id"),
        ("check_id,ruling\na,uphold,x\n", "line 2: write a check id"),
        ("check_id,ruling\n,uphold\n", "line 2: write a check id"),
        ("check_id,ruling\na,uphold\n\na,overturn\n", "line 4: check a stands there twice"),
    ],
    ids=str,
)
def test_bad_golden_files(text: str, words: str) -> None:
    """The line and what to write."""
    with pytest.raises(ValueError, match=words):
        parse_golden(text)


def test_a_golden_file() -> None:
    """Check and ruling."""
    text = "check_id,ruling\na,uphold\nb,overturn\n"
    assert parse_golden(text) == {"a": RULING_UPHOLD, "b": RULING_OVERTURN}
