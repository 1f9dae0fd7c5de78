"""What each tenant may ask for, in virtual time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_gateway.admission.rates import Meter, Quotas, TenantLimits

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def meter(**limits: TenantLimits) -> Meter:
    return Meter(Quotas(named=limits))


def test_a_burst_and_then_the_rate() -> None:
    """Three at once, then one each half second, and the time to wait is told."""
    found = meter(a=TenantLimits(per_second=2.0, burst=3))
    assert [found.take("a", 0.0, NOON) for _ in range(3)] == [None] * 3
    refused = found.take("a", 0.0, NOON)
    assert refused is not None
    assert (refused.retry_after, refused.of_day) == (pytest.approx(0.5), False)
    assert found.take("a", 0.5, NOON) is None
    assert found.take("a", 0.6, NOON) is not None


def test_a_day_has_so_many() -> None:
    """The third of two waits for midnight in Greenwich, in whatever zone the clock is; then two are free."""
    found = meter(a=TenantLimits(per_day=2))
    east = NOON.astimezone(timezone(timedelta(hours=9)))
    assert found.take("a", 0.0, NOON) is None
    assert found.take("a", 1.0, east) is None
    refused = found.take("a", 2.0, NOON)
    assert refused is not None
    assert (refused.retry_after, refused.of_day) == (12 * 3600, True)
    assert found.take("a", 3.0, NOON + timedelta(hours=12)) is None


def test_tenants_do_not_pay_for_one_another() -> None:
    """One that has used all up leaves another's untouched; who has no limits is not counted."""
    found = meter(a=TenantLimits(per_second=1.0, burst=1), b=TenantLimits(per_second=1.0, burst=1))
    assert found.take("a", 0.0, NOON) is None
    assert found.take("a", 0.0, NOON) is not None
    assert found.take("b", 0.0, NOON) is None
    assert all(found.take("c", 0.0, NOON) is None for _ in range(1_000))


@given(
    rate=st.floats(0.5, 50),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_never_more_than_the_burst_and_the_rate(rate: float, burst: int, gaps: list[float]) -> None:
    """Over any time from the start, no more are let in than burst + rate × time."""
    found, now, taken = meter(a=TenantLimits(per_second=rate, burst=burst)), 0.0, 0
    for gap in gaps:
        now += gap
        taken += found.take("a", now, NOON) is None
        assert taken <= burst + rate * now + 1e-6


def test_tenants_without_end_take_bounded_memory() -> None:
    """Those who ask for nothing any more are forgotten, and those who owe something are not."""
    found = Meter(Quotas(others=TenantLimits(per_second=10.0, burst=2)))
    for number in range(5_000):
        found.take(f"t{number}", number * 1.0, NOON)
    assert len(found) <= 1_024
