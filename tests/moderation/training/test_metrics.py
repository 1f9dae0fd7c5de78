"""Figures of merit and calibration, against plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ostiary_moderation.evaluation.metrics import area_under_curve, calibrate, fit_platt, precision_table

pairs = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60)


def arrays(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    """Margins and labels; skips examples that have only one class."""
    labels = np.array([label for _, label in rows])
    assume(labels.any() and not labels.all())
    return np.array([margin for margin, _ in rows], dtype=np.float64), labels


@given(pairs)
def test_the_area_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    """Against counting every pair of a positive and a negative, ties half."""
    margins, labels = arrays(rows)
    differences = margins[labels][:, None] - margins[~labels][None, :]
    counted = (differences > 0).mean() + 0.5 * (differences == 0).mean()
    assert area_under_curve(margins, labels) == pytest.approx(counted)


def test_the_area_needs_both_classes() -> None:
    """One class alone has no order to judge."""
    with pytest.raises(ValueError, match="positives and negatives"):
        area_under_curve(np.array([1.0, 2.0]), np.array([True, True]))


@given(pairs, st.floats(0.01, 0.9), st.sampled_from([0.5, 0.9, 0.97]))
def test_a_row_reaches_its_precision(rows: list[tuple[int, bool]], prevalence: float, wanted: float) -> None:
    """Counting at a row's threshold gives at least its precision, and its recall."""
    margins, labels = arrays(rows)
    probabilities = 1 / (1 + np.exp(-margins))
    for point in precision_table(probabilities, labels, prevalence, [wanted]):
        fires = probabilities >= point.threshold
        found = prevalence * fires[labels].mean()
        wrong = (1 - prevalence) * fires[~labels].mean()
        assert found / (found + wrong) >= wanted - 1e-9
        assert fires[labels].mean() == pytest.approx(point.recall, abs=1e-4)


def test_a_precision_that_is_not_reached_has_no_row() -> None:
    """Margins that say nothing reach no high precision, so that a policy asking for one cannot fire."""
    rng = np.random.default_rng(0)
    calibration = calibrate(rng.normal(size=2000), rng.random(2000) < 0.3, prevalence=0.1)
    assert calibration.threshold(0.97) is None


def test_separable_margins_reach_a_high_precision() -> None:
    """With enough negatives to know it."""
    margins = np.concatenate([np.linspace(2, 4, 300), np.linspace(-4, -2, 1500)])
    calibration = calibrate(margins, margins > 0, prevalence=0.1)
    threshold = calibration.threshold(0.97)
    assert threshold is not None
    assert calibration.probability(-2.0) < threshold <= calibration.probability(3.9)


def test_few_negatives_do_not_prove_a_high_precision() -> None:
    """Twenty clean examples without a false positive are no evidence for 0.99."""
    margins = np.concatenate([np.linspace(2, 4, 300), np.linspace(-4, -2, 20)])
    assert calibrate(margins, margins > 0, prevalence=0.1).threshold(0.99) is None


def test_platt_finds_the_map_that_made_the_labels() -> None:
    """Labels drawn from sigmoid(1.5 x - 0.5) give back 1.5 and -0.5."""
    rng = np.random.default_rng(3)
    margins = rng.normal(size=40_000) * 2
    labels = rng.random(40_000) < 1 / (1 + np.exp(-(1.5 * margins - 0.5)))
    slope, intercept = fit_platt(margins, labels, prevalence=float(labels.mean()))
    assert slope == pytest.approx(1.5, abs=0.06)
    assert intercept == pytest.approx(-0.5, abs=0.06)
