"""Figures of attributes, counted by hand."""

from __future__ import annotations

import pytest

from moderation.evaluation.answering import VALUES, named
from ostiary_moderation.evaluation.attributes import judge_attributes

ANSWERS = [
    named("dress", ["dress", "hat", "shoes", "unknown"]),
    named("dress", ["hat", "unknown", "shoes", "dress"]),  # `unknown` takes no place
    named("dress", ["dress", "hat", "shoes", "unknown"], said="unknown"),  # hidden by a floor
    named("hat", ["shoes", "unknown", "dress", "bag", "hat"]),
]


def test_first_and_first_three_are_counted() -> None:
    """What is served counts as the first answer, the ranking as the first three that name something."""
    figures = judge_attributes({"category": VALUES}, ANSWERS, {})["category"]
    assert (figures.top1.value, figures.top3.value, figures.top1.n) == (0.25, 0.75, 4)
    assert {value: (recall.value, recall.n) for value, recall in figures.recall.items()} == {
        "dress": (pytest.approx(1 / 3), 3),
        "hat": (0.0, 1),
    }
    assert (figures.commonest[0], figures.commonest[1].value) == ("dress", 0.75)


def test_confidence_is_held_against_what_was_right() -> None:
    """One in four was right where every answer said a half."""
    assert judge_attributes({"category": VALUES}, ANSWERS, {})["category"].ece == pytest.approx(0.25)


def test_an_attribute_that_the_bundle_cannot_see_has_no_figures() -> None:
    """Nor has one whose truth nobody knows."""
    options = {"category": ("unknown",), "colour": ("red", "unknown")}
    assert judge_attributes(options, ANSWERS, {}) == {}


def test_a_truth_that_the_bundle_lacks_is_other() -> None:
    """Where it has that value; else nothing it says is right."""
    answers = [named("poncho", ["other", "dress"]), named("dress", ["dress", "other"])]
    with_other = judge_attributes({"category": ("dress", "other", "unknown")}, answers, {})["category"]
    without = judge_attributes({"category": ("dress", "unknown")}, answers, {})["category"]
    assert (with_other.top1.value, without.top1.value) == (1.0, 0.5)
    assert set(without.recall) == {"poncho", "dress"}
