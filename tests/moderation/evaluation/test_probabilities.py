"""Moving probabilities between prevalences, and how wrong they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_moderation.evaluation.metrics import at_prevalence, calibration_error

shares = st.floats(0.01, 0.99)


@given(shares, shares, shares)
def test_there_and_back_is_the_same(probability: float, one: float, other: float) -> None:
    """Bayes' rule loses nothing."""
    there = at_prevalence(np.array([probability]), one, other)
    assert at_prevalence(there, other, one)[0] == pytest.approx(probability, abs=1e-9)


def test_it_is_what_counting_gives() -> None:
    """A sign that 90% of positives and 20% of negatives show, among 10% and among 50% positives."""
    among_few = 0.1 * 0.9 / (0.1 * 0.9 + 0.9 * 0.2)
    among_half = 0.5 * 0.9 / (0.5 * 0.9 + 0.5 * 0.2)
    assert at_prevalence(np.array([among_few]), 0.1, 0.5)[0] == pytest.approx(among_half)


def error(probabilities: list[float], truth: list[bool], weights: list[float] | None = None) -> float:
    """The calibration error of lists."""
    weighted = np.array(weights or [1.0] * len(truth))
    return calibration_error(np.array(probabilities), np.array(truth), weighted)


def test_saying_the_share_is_no_error() -> None:
    """Half of those said to be a half, whatever order they stand in."""
    assert error([0.5] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.0)


def test_being_sure_and_wrong_is_the_whole_error() -> None:
    """0.9 for what never holds."""
    assert error([0.9] * 10, [False] * 10) == pytest.approx(0.9)


def test_errors_of_bins_do_not_cancel() -> None:
    """Too low at one end and too high at the other are two errors."""
    assert error([0.2] * 10 + [0.8] * 10, [True] * 10 + [False] * 10) == pytest.approx(0.8)


def test_weights_stand_for_many() -> None:
    """One negative that weighs three is as good as three."""
    assert error([0.25, 0.25], [True, False], [1.0, 3.0]) == pytest.approx(0.0)


def test_labels_drawn_from_the_probabilities_show_little_error() -> None:
    """What remains is chance."""
    rng = np.random.default_rng(1)
    probabilities = rng.random(20_000)
    truth = rng.random(20_000) < probabilities
    assert calibration_error(probabilities, truth, np.ones(20_000)) < 0.015
    assert calibration_error(probabilities**2, truth, np.ones(20_000)) > 0.1
