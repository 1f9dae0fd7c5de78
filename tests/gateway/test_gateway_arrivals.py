"""How many checks a second come in."""

import pytest

from ostiary_gateway.arrivals import Arrivals


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def rate(*per_second: int) -> float:
    """After seconds with so many checks each."""
    clock = Clock()
    arrivals = Arrivals(clock)
    for count in per_second:
        for _ in range(count):
            arrivals.one()
        clock.now += 1.0
    return arrivals.per_second()


RATES = {
    "nothing yet": ((), 0.0),
    "one second": ((5,), 5.0),
    "a few seconds": ((4, 0, 2), 2.0),
    "half a minute": ((2,) * 30, 2.0),
    "the last half minute": ((50,) * 60 + (0,) * 15 + (4,) * 15, 2.0),
    "long silence": ((50,) * 10 + (0,) * 60, 0.0),
}


@pytest.mark.parametrize(("seconds", "expected"), RATES.values(), ids=RATES)
def test_the_rate_is_that_of_the_last_half_minute(seconds: tuple[int, ...], expected: float) -> None:
    """Or of as long as the gateway has been there."""
    assert rate(*seconds) == pytest.approx(expected, abs=0.01)
