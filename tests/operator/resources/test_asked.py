"""Requests to a rollout, as annotations."""

from __future__ import annotations

import pytest

from ostiary_operator.resources.asked import REQUEST, annotation, asked
from ostiary_operator.rollout.snapshot import Request


@pytest.mark.parametrize(
    "request_",
    [
        Request("promote", "a"),
        Request("promote-full", "b", force=True),
        Request("promote", "c", version="qwen-2", stage="step 2", of="uid"),
    ],
    ids=["verb", "force", "what it names"],
)
def test_a_request_is_read_as_it_was_written(request_: Request) -> None:
    """Verb, id, force, and what it is about."""
    assert asked({REQUEST: annotation(request_), "other": "x"}) == request_


def test_none_is_none() -> None:
    """Other annotations say nothing."""
    assert asked({"other": "x"}) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("promote", "JSON with verb and id"),
        ("[]", "JSON with verb and id"),
        ('{"verb": "promote"}', "JSON with verb and id"),
        ('{"verb": "explode", "id": "1"}', "'explode' is none of promote, promote-full, abort, retry"),
    ],
    ids=["text", "a list", "no id", "another verb"],
)
def test_what_makes_no_sense_is_said(text: str, words: str) -> None:
    """People may write the annotation by hand."""
    with pytest.raises(ValueError, match=r"ostiary\.dev/request") as caught:
        asked({REQUEST: text})
    assert words in str(caught.value)
