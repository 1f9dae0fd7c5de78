"""Intervals: wide where little is known, and honest about examples that hang together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_moderation.evaluation.intervals import bootstrap, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (500, 1000, 0.4691, 0.5309)],
)
def test_wilson_is_the_published_interval(successes: int, n: int, low: float, high: float) -> None:
    """Against worked values."""
    figure = wilson(successes, n)
    assert (figure.low, figure.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilson_holds_the_share_and_stays_a_share(n: int, part: float) -> None:
    """Whatever was counted."""
    figure = wilson(round(n * part), n)
    assert 0.0 <= figure.low <= figure.value <= figure.high <= 1.0


def test_nothing_has_no_share() -> None:
    """No examples, no figure."""
    with pytest.raises(ValueError, match="no share"):
        wilson(0, 0)


def test_examples_of_one_group_are_no_independent_evidence() -> None:
    """The same values counted three times give the same interval as once, not a narrower one."""
    values = np.random.default_rng(0).normal(size=60)
    once = bootstrap([str(index) for index in range(60)], lambda chosen: float(values[chosen].mean()))
    tripled = np.repeat(values, 3)
    groups = [str(index // 3) for index in range(180)]
    thrice = bootstrap(groups, lambda chosen: float(tripled[chosen].mean()))
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=0.02)
    assert once.high - once.low == pytest.approx(2 * 1.96 * values.std() / 60**0.5, rel=0.2)


def test_a_statistic_that_is_not_defined_is_an_error() -> None:
    """Redraws that lack it are left out; the examples themselves must have it."""
    with pytest.raises(ValueError, match="too few"):
        bootstrap(["a", "b"], lambda chosen: None)
    figure = bootstrap(["a", "b"], lambda chosen: 1.0 if len(set(chosen)) == 2 else None)
    assert (figure.low, figure.high) == (1.0, 1.0)
