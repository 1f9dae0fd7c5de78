"""How many checks end soon, by how long they took lately."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_gateway.admission.durations import Durations


def known(*seconds: float) -> Durations:
    durations = Durations()
    for each in seconds:
        durations.add(each)
    return durations


@pytest.mark.parametrize(
    ("taken", "ages", "within", "least", "most"),
    [
        pytest.param([], [0.1] * 9, 9.0, 0, 0, id="nothing has ended"),
        pytest.param([0.5] * 9, [0.1] * 9, 0.25, 0, 0, id="all began together, a while ago"),
        pytest.param([0.5] * 9, [0.3] * 9, 0.25, 9, 9, id="all began together, and end soon"),
        pytest.param([0.5] * 9, [0.6] * 9, 9.0, 0, 0, id="older than any that ended"),
        pytest.param([0.5, 1.0] * 9, [0.3] * 100, 0.25, 30, 45, id="half of them end soon"),
        pytest.param([0.5, 1.0] * 9, [0.3], 0.25, -1, 0, id="one may, which is not sure"),
    ],
)
def test_what_ends(taken: list[float], ages: list[float], within: float, least: float, most: float) -> None:
    """As many as end surely, by those that took at least as long."""
    assert least <= known(*taken).ending(ages, within) <= most


@given(
    taken=st.lists(st.floats(0.001, 9.0), max_size=90),
    ages=st.lists(st.floats(0.0, 9.0), max_size=20),
    within=st.floats(0.0, 9.0),
)
def test_never_more_than_there_are(taken: list[float], ages: list[float], within: float) -> None:
    """And the mean is that of the newest 64, whatever came before."""
    durations = known(*taken)
    assert durations.ending(ages, within) <= len(ages)
    newest = taken[-64:]
    assert durations.mean == pytest.approx(sum(newest) / len(newest) if newest else 0.0)
