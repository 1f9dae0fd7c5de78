"""The HorizontalPodAutoscaler's rule: the worked examples of its documentation, and its properties."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_operator.autoscaling.averages import Tolerance, by_average, by_total

STOCK = Tolerance(0.1, 0.1)
values = st.lists(st.floats(0.0, 1000.0), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("average", "target", "current", "wanted"),
    [
        (200.0, 100.0, 4, 8),
        (50.0, 100.0, 4, 2),
        (105.0, 100.0, 4, 4),
        (91.0, 100.0, 4, 4),
        (90.0, 75.0, 50, 60),
    ],
    ids=["twice as much", "half as much", "within 10%", "within 10% below", "the blog's 50 × 90/75"],
)
def test_the_worked_examples(average: float, target: float, current: int, wanted: int) -> None:
    """200m against 100m doubles, 50m halves, and near enough to 1 nothing is done."""
    assert by_average([average] * current, target, current, STOCK) == wanted


@pytest.mark.parametrize(
    ("measured", "missing", "unready", "wanted"),
    [
        ([200.0] * 3, 1, 0, 6),
        ([50.0] * 3, 1, 0, 3),
        ([200.0] * 3, 0, 1, 6),
        ([50.0] * 3, 0, 1, 2),
        ([120.0] * 2, 0, 2, 4),
        ([110.0, 115.0], 1, 0, 3),
    ],
    ids=[
        "missing is idle on the way up",
        "missing is on target on the way down",
        "unready is idle on the way up",
        "unready is not counted on the way down",
        "a ratio that turns changes nothing",
        "nor one that turns by a missing pod",
    ],
)
def test_pods_without_a_figure(measured: list[float], missing: int, unready: int, wanted: int) -> None:
    """They damp whatever the others ask for, and never turn it round."""
    current = len(measured) + missing + unready
    assert by_average(measured, 100.0, current, STOCK, missing, unready) == wanted


@given(values, st.floats(1.0, 500.0))
def test_the_formula(found: list[float], target: float) -> None:
    """With every pod measured it is ceil(current × average ÷ target), or nothing within the tolerance."""
    current = len(found)
    ratio = math.fsum(found) / current / target
    wanted = by_average(found, target, current, STOCK)
    edge = abs(abs(ratio - 1.0) - 0.1) < 1e-6  # which side of it a ratio is on is floating-point dust
    if abs(ratio - 1.0) <= 0.1 or (edge and wanted == current):
        assert wanted == current or edge
    else:
        assert wanted in {math.ceil(ratio * current), math.ceil(ratio * current - 1e-6)}


@given(values, st.floats(1.0, 500.0), st.integers(0, 5), st.integers(0, 5))
def test_pods_without_a_figure_only_damp(
    found: list[float], target: float, missing: int, unready: int
) -> None:
    """More of them never make a proposal go further from what there is, nor to its other side."""
    current = len(found) + missing + unready
    ratio = math.fsum(found) / len(found) / target
    wanted = by_average(found, target, current, STOCK, missing, unready)
    if ratio > 1.0:
        assert wanted >= current
    elif not unready:
        assert wanted <= current


@pytest.mark.parametrize(
    ("total", "current", "wanted"),
    [(30.0, 3, 3), (32.9, 3, 3), (34.0, 3, 4), (20.0, 3, 2), (5.0, 0, 1), (0.0, 3, 0)],
)
def test_a_total(total: float, current: int, wanted: int) -> None:
    """As an `AverageValue`: so much for each pod, and the tolerance against what there is."""
    assert by_total(total, 10.0, current, STOCK) == wanted
