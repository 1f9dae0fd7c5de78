"""From samples to figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.engine.statistics import percentile, ratio_of_repeats, spread, steady_rate

numbers = st.lists(st.floats(0, 1000), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)],
    ids=["p50", "p95", "p99", "largest", "smallest"],
)
def test_percentiles_of_one_to_a_hundred(share: float, expected: int) -> None:
    """Nearest rank, whatever the order."""
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_no_values_have_no_percentile() -> None:
    """Nothing was measured, which is not zero."""
    assert percentile([], 0.5) is None


@given(numbers, st.floats(0.01, 1.0))
def test_a_percentile_is_the_least_value_that_covers_its_share(values: list[float], share: float) -> None:
    """It is one of the values; enough are at or below it, and too few are below it."""
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < share * len(values)


@given(st.integers(1, 16), st.floats(0.1, 5.0), st.floats(0.0, 0.99))
def test_bursts_do_not_bend_a_rate(size: int, interval: float, cut: float) -> None:
    """Batches of `size` every `interval` seconds are size / interval a second, wherever the clock cuts."""
    bursts = [number * interval for number in range(1, 11) for _ in range(size)]
    end = (8 + cut) * interval
    assert steady_rate(bursts, interval, end) == pytest.approx(size / interval)


def test_an_empty_window_has_no_rate() -> None:
    """No completion after the first, or a single burst: no figure."""
    assert steady_rate([1.0], 1.0, 5.0) is None
    assert steady_rate([1.0, 1.01, 1.02], 1.0, 5.0) is None


def test_a_spread_is_over_the_repeats_that_have_a_figure() -> None:
    """Median, least and most; none for none."""
    found = spread([3.0, None, 1.0, 2.0])
    assert found is not None
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)
    assert spread([None]) is None


def test_ratios_are_taken_within_a_repeat() -> None:
    """A repeat in which the machine was slow for both sides does not move the ratio."""
    assert ratio_of_repeats([8.0, 2.0, 12.0], [2.0, 0.5, 3.0]) == 4.0
    assert ratio_of_repeats([8.0], []) is None
    assert ratio_of_repeats([8.0, None], [0.0, 1.0]) is None
