"""Positions in a block, and the terms that cases are found by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_gateway.review.cases import Search
from ostiary_gateway.store.case_terms import Indexed, by_term, terms_of, wanted
from ostiary_gateway.store.postings import BLOCK, decode, encode, positions_of, without

POSITIONS = st.sets(st.integers(0, BLOCK - 1), min_size=1, max_size=300)
TEXTS = st.text(st.sampled_from("ab c-微信字ß\n　"), max_size=14)


@given(POSITIONS)
def test_what_is_encoded_is_decoded(positions: set[int]) -> None:
    """Few positions and many."""
    assert positions_of(decode(encode(positions))) == sorted(positions)


@given(POSITIONS, st.data())
def test_without_a_position(positions: set[int], data: st.DataObject) -> None:
    """Nothing else changes, also where what is left is written in the other way."""
    gone = data.draw(st.sampled_from(sorted(positions)))
    left = without(encode(positions), gone)
    assert left == (encode(positions - {gone}) if len(positions) > 1 else b"")
    assert without(left, gone) == left


def case(text: str, **changes: object) -> Indexed:
    return Indexed(7, "demo", "default@1", b"\1", 0.5, text)._replace(**changes)  # type: ignore[arg-type]


@given(TEXTS, st.integers(0, 14), st.integers(1, 8))
def test_a_case_has_the_terms_of_each_word_that_it_holds(text: str, start: int, length: int) -> None:
    """Otherwise the index would hide what is there."""
    words = tuple(text[start : start + length].split())
    terms = terms_of(case(text))
    assert all(terms.intersection(one_of) for one_of in wanted(Search("demo", words=words)))


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search("demo", policies=("strict@1", "default@1")), True),
        (Search("demo", policies=("strict@1",)), False),
        (Search("other", policies=("default@1",)), False),
        (Search("demo", bundle_digests=(b"\1",)), True),
        (Search("demo", bundle_digests=(b"\2",)), False),
        (Search("demo", min_score=0.5), True),
        (Search("demo", min_score=0.56), False),
        (Search("demo", words=("cotton", "shirt")), True),
        (Search("demo", words=("cottons",)), False),
        (Search("demo", words=("微信",)), True),
    ],
    ids=str,
)
def test_terms(search: Search, found: bool) -> None:
    """What is asked of traits and texts, and whether a case has it."""
    terms = terms_of(case("cotton t-shirt 加微信"))
    assert all(terms.intersection(one_of) for one_of in wanted(search)) is found


def test_what_no_term_tells() -> None:
    """A letter, and what may change about a case, narrow nothing."""
    assert wanted(Search("demo", words=("a", "ab"), verdicts=(1,), sellers=("s",))) == []


@given(st.lists(TEXTS, max_size=6), st.floats(0, 1))
def test_a_block_has_the_terms_of_each_of_its_cases(texts: list[str], score: float) -> None:
    """And no others: what is erased is found by its own text again."""
    cases = [
        case(text, log_index=BLOCK + number, score=score * (number % 2)) for number, text in enumerate(texts)
    ]
    found = by_term(cases)
    for each in cases:
        assert {term for term, positions in found.items() if each.position in positions} == terms_of(each)
