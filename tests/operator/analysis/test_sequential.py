"""What is said of two means, however often one looks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_operator.analysis.sequential import Moments, difference

values = st.lists(st.floats(-100, 100), min_size=1, max_size=30)


@given(values, values)
def test_moments_add_up(some: list[float], others: list[float]) -> None:
    """Counting in two places and adding is counting in one."""
    both, together = Moments.of([*some, *others]), Moments.of(some) + Moments.of(others)
    assert both.count == together.count
    assert both.total == pytest.approx(together.total, abs=1e-6)
    assert both.squares == pytest.approx(together.squares, abs=1e-3)


@given(values, values, st.floats(0.001, 0.2))
def test_the_difference_lies_inside_its_bounds(some: list[float], others: list[float], alpha: float) -> None:
    """Mirrored where the two change places, wider where one wants to be surer."""
    one, other = Moments.of(some), Moments.of(others)
    interval, mirrored = difference(one, other, alpha), difference(other, one, alpha)
    assert interval.low < one.mean - other.mean < interval.high
    assert (interval.low, interval.high) == pytest.approx((-mirrored.high, -mirrored.low))
    surer = difference(one, other, alpha / 10)
    assert surer.low < interval.low < interval.high < surer.high


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.3], ids=str)
def test_looking_after_every_check_is_seldom_wrong(rate: float) -> None:
    """200 pairs of equal shares, looked at 40 times each: not more than alpha of them are ever told apart."""
    rng = random.Random(7)
    wrong = 0
    for _ in range(200):
        one, other = Moments(), Moments()
        for _ in range(40):
            one += Moments.of([float(rng.random() < rate) for _ in range(25)])
            other += Moments.of([float(rng.random() < rate) for _ in range(25)])
            interval = difference(one, other, 0.05)
            if not interval.low <= 0.0 <= interval.high:
                wrong += 1
                break
    assert wrong <= 10


def test_a_real_difference_is_found() -> None:
    """30% beside 10% is told apart within a few hundred checks."""
    rng = random.Random(1)
    one, other = Moments(), Moments()
    while difference(one, other, 0.01).low <= 0.0 if one.count else True:
        one += Moments.of([float(rng.random() < 0.3)])
        other += Moments.of([float(rng.random() < 0.1)])
    assert one.count < 500
