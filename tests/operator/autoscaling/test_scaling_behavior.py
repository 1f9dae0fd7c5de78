"""Windows and rates, as the HorizontalPodAutoscaler documents them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_operator.autoscaling.behavior import down_limit, stabilised, up_limit
from ostiary_operator.autoscaling.spec import Behavior, ScalingRules

NOW = 1000.0
PERCENT = {"type": "Percent", "value": 10, "periodSeconds": 60}
PODS = {"type": "Pods", "value": 4, "periodSeconds": 60}


def rules(select: str = "Max", *policies: dict[str, Any]) -> ScalingRules:
    return ScalingRules.model_validate({"selectPolicy": select, "policies": policies})


@pytest.mark.parametrize(
    ("current", "select", "least"),
    [
        (80, "Max", 72),
        (72, "Max", 64),
        (40, "Max", 36),
        (30, "Max", 26),
        (80, "Min", 76),
        (80, "Disabled", 80),
    ],
)
def test_the_documented_scale_down(current: int, select: str, least: int) -> None:
    """4 pods or 10 per cent a minute: from 80 by 8, from 72 by 8 (64.8 is cut), below 40 by the 4 pods."""
    assert down_limit(current, rules(select, PODS, PERCENT), NOW, (), ()) == least


@pytest.mark.parametrize(("current", "most"), [(1, 5), (4, 8), (10, 20), (0, 4)])
def test_the_stock_scale_up(current: int, most: int) -> None:
    """100 per cent or 4 pods within 15 s, whichever is more."""
    assert up_limit(current, Behavior().scale_up, NOW, (), ()) == most


def test_what_was_done_within_the_period_counts() -> None:
    """A period starts where its changes began; those before it are forgotten."""
    chosen = rules("Max", PODS)
    assert up_limit(13, chosen, NOW, ((NOW - 30.0, 3),), ()) == 14
    assert up_limit(13, chosen, NOW, ((NOW - 60.0, 3),), ()) == 17
    assert down_limit(13, chosen, NOW, (), ((NOW - 30.0, 3),)) == 12
    assert down_limit(13, chosen, NOW, (), ((NOW - 30.0, 9),)) == 13


@pytest.mark.parametrize(
    ("wanted", "up", "down", "after"),
    [(2, 0.0, 60.0, 7), (2, 0.0, 15.0, 2), (12, 0.0, 60.0, 12), (12, 60.0, 60.0, 10), (12, 25.0, 60.0, 10)],
    ids=["down waits", "down, all forgotten", "up at once", "up waits", "up waits for the lowest"],
)
def test_windows(wanted: int, up: float, down: float, after: int) -> None:
    """Down to the highest of a window, up to the lowest, and never to the other side of what there is."""
    before = ((NOW - 40.0, 7), (NOW - 20.0, 6))
    assert stabilised(10, wanted, NOW, before, up, down) == after


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.lists(st.tuples(st.floats(0.0, NOW), st.integers(0, 50)), max_size=8),
    st.floats(0.0, 600.0),
    st.floats(0.0, 600.0),
)
def test_windows_only_hold_back(
    current: int, wanted: int, before: list[tuple[float, int]], up: float, down: float
) -> None:
    """What comes out lies between what there is and what was wanted."""
    after = stabilised(current, wanted, NOW, before, up, down)
    assert min(current, wanted) <= after <= max(current, wanted)


def test_rules_without_policies_get_the_stock_ones() -> None:
    """As with an HPA that sets a window only."""
    behavior = Behavior.model_validate({"scaleDown": {"stabilizationWindowSeconds": 60}})
    assert behavior.scale_down.policies == Behavior().scale_down.policies
