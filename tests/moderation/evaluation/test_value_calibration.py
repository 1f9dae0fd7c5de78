"""Calibration of attributes' values: what is fitted, and what a bundle makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from moderation.evaluation.answering import VALUES, manifest, named
from ostiary_moderation.bundle import NEUTRAL, ValueCalibration
from ostiary_moderation.engine import AttributeValue
from ostiary_moderation.evaluation.calibrating import LEAST_VALUES, fit_attributes
from ostiary_moderation.evaluation.examine import Answered
from ostiary_moderation.evaluation.metrics import fit_values

logits_of_four = arrays.arrays(np.float64, (4,), elements=st.floats(-20, 20))
calibrations = st.builds(
    ValueCalibration,
    slope=st.floats(0.2, 5),
    biases=st.dictionaries(st.sampled_from(VALUES), st.floats(-3, 3)),
)


@given(logits_of_four, calibrations)
def test_probabilities_lead_back_to_logits(logits: np.ndarray, calibration: ValueCalibration) -> None:
    """Up to a constant, which says nothing: a bundle that is calibrated can be calibrated again."""
    probabilities = calibration.probabilities(VALUES, logits)
    assert probabilities.sum() == pytest.approx(1.0)
    again = calibration.logits(VALUES, probabilities)
    assert again - again.max() == pytest.approx(logits - logits.max(), abs=1e-4)


@given(logits_of_four, st.floats(0.2, 5))
def test_a_slope_changes_no_order(logits: np.ndarray, slope: float) -> None:
    """Only biases change which value is the likeliest."""
    plain = NEUTRAL.probabilities(VALUES, logits)
    scaled = ValueCalibration(slope=slope).probabilities(VALUES, logits)
    assert scaled[int(plain.argmax())] == pytest.approx(scaled.max())


def drawn(slope: float, biases: list[float], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and truths as often as softmax(slope * logits + biases) says."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (count, len(biases)))
    scores = slope * logits + np.array(biases)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return logits, truth


def test_what_made_the_truths_is_found() -> None:
    """An overconfident model that says the first value too often."""
    slope, biases = fit_values(*drawn(0.5, [-1.0, 0.5, 0.5], 20_000), doubt=1e-6)
    assert slope == pytest.approx(0.5, abs=0.03)
    assert biases == pytest.approx([-1.0, 0.5, 0.5], abs=0.08)


def test_little_is_believed_of_few_examples() -> None:
    """A bias rests on evidence: with more doubt, less of it is left; a value never seen keeps finite."""
    logits, truth = drawn(1.0, [0.0, 1.0, -30.0], 120)
    _, some = fit_values(logits, truth)
    _, less = fit_values(logits, truth, doubt=1.0)
    assert np.abs(less).max() < np.abs(some).max() < 5


def answered(shares: list[float], truth: str) -> Answered:
    """An example of a category, and the probabilities that the model gave its values."""
    ranking = tuple(sorted(zip(VALUES, shares, strict=True), key=lambda pair: -pair[1]))
    known = named(truth, [value for value, _ in ranking])
    value = AttributeValue("category", *ranking[0], ranking)
    return replace(known, look=replace(known.look, attributes=(value,)))


def served(calibration: ValueCalibration) -> list[Answered]:
    """What a bundle with this calibration says of a model's logits, and the truth."""
    logits, truth = drawn(0.5, [-1.0, 0.5, 0.5, 0.0], 400)
    return [
        answered(list(calibration.probabilities(VALUES, row)), VALUES[index])
        for row, index in zip(logits, truth, strict=True)
    ]


def test_a_calibrated_bundle_is_fitted_from_what_the_model_said() -> None:
    """The fit is the same, whatever calibration the answers were served with."""
    raw = manifest()
    before = ValueCalibration(slope=2.0, biases={"dress": 1.0})
    calibrated = raw.model_copy(update={"attribute_calibration": {"category": before}})
    first = fit_attributes(raw, served(NEUTRAL))["category"]
    second = fit_attributes(calibrated, served(before))["category"]
    assert second.slope == pytest.approx(first.slope, abs=1e-4)
    assert dict(second.biases) == pytest.approx(dict(first.biases), abs=1e-3)


def test_an_attribute_with_few_labels_is_left() -> None:
    """As many as say more of the model than of chance."""
    few = served(NEUTRAL)[: LEAST_VALUES - 1]
    assert fit_attributes(manifest(), few) == {}
