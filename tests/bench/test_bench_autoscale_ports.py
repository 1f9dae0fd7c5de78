"""The rivals' ports: golden vectors from what their documentation and their own tests say."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.autoscale.policies import apa, hpa, kpa, saturation
from ostiary_operator.autoscaling import averages


def one(value: float) -> Any:
    return np.array([value])


@pytest.mark.parametrize(
    ("average", "target", "current", "wanted"),
    [(200.0, 100.0, 4, 8), (50.0, 100.0, 4, 2), (105.0, 100.0, 4, 4), (90.0, 75.0, 50, 60)],
    ids=["200m of 100m doubles", "50m of 100m halves", "within a tenth", "50 × 90/75"],
)
def test_hpa_worked_examples(average: float, target: float, current: int, wanted: int) -> None:
    """Those of the Kubernetes documentation and of its article on the tolerance."""
    assert hpa.by_average(one(average), target, one(current), one(0), one(current))[0] == wanted


@given(st.floats(0.0, 300.0), st.floats(1.0, 300.0), st.integers(1, 40), st.integers(0, 20))
def test_hpa_formula(average: float, target: float, ready: int, unready: int) -> None:
    """The port agrees with the operator's rule, which was written apart from it, and so with the formula."""
    current = ready + unready
    stock = averages.Tolerance(0.1, 0.1)
    theirs = hpa.by_average(one(average), target, one(ready), one(unready), one(current))[0]
    if average == 0.0 or abs(average / target - 1.0) > 1e-6:
        assert theirs == averages.by_average([average] * ready, target, current, stock, 0, unready)


@given(st.floats(0.0, 5000.0), st.floats(1.0, 300.0), st.integers(1, 40))
def test_average_value(total: float, target: float, current: int) -> None:
    """KEDA's triggers are external metrics with an `AverageValue`."""
    stock = averages.Tolerance(0.1, 0.1)
    theirs = hpa.by_average_value(one(total), target, one(current))[0]
    assert theirs == averages.by_total(total, target, current, stock)


def test_hpa_behavior() -> None:
    """Up by the larger of 100% and 4 pods a period at once, down after five minutes of asking for less."""
    behavior = hpa.Behavior(300, one(3))
    assert behavior.apply(one(3), one(50))[0] == 7
    assert behavior.apply(one(7), one(50))[0] == 14
    behavior = hpa.Behavior(300, one(10))
    seen = [int(behavior.apply(one(10), one(2))[0]) for _ in range(21)]
    assert seen[:19] == [10] * 19
    assert seen[20] == 2


@pytest.mark.parametrize(
    ("current", "use", "up_rate", "down_rate", "wanted"),
    [
        (2, 45.0, 2.0, 2.0, 3),
        (2, 35.0, 2.0, 2.0, 3),
        (2, 90.0, 2.0, 2.0, 4),
        (2, 90.0, 2.5, 2.0, 5),
        (6, 20.0, 2.0, 2.0, 4),
        (6, 18.0, 2.0, 2.0, 4),
        (6, 10.0, 2.0, 2.0, 3),
        (6, 5.0, 2.0, 2.5, 2),
        (2, 33.0, 2.0, 2.0, 2),
        (2, 27.0, 2.0, 2.0, 2),
    ],
)
def test_apa(current: int, use: float, up_rate: float, down_rate: float, wanted: int) -> None:
    """In proportion, within the rates, and nothing within a tenth: 30 is the target."""
    assert apa.target_replicas(one(current), one(use), 30.0, 0.1, 0.1, up_rate, down_rate)[0] == wanted


def scaler(target: float = 10.0) -> kpa.Kpa:
    policy = kpa.Kpa(target)
    policy.start(None, np.array([1]))  # type: ignore[arg-type]
    return policy


@pytest.mark.parametrize(
    ("stable", "panic", "ready", "wanted"),
    [(0.0, 0.0, 1, 0), (50.0, 50.0, 5, 5), (100.0, 100.0, 6, 10), (20.0, 20.0, 8, 4), (50.0, 120.0, 5, 12)],
    ids=["nothing", "on target", "more", "no faster down than by half", "panic"],
)
def test_kpa(stable: float, panic: float, ready: int, wanted: int) -> None:
    """Concurrency over the target in the stable window, or in the panic window where that is twice the ready
    pods.
    """
    assert scaler().scale(0.0, one(stable), one(panic), one(ready))[0] == wanted


def test_kpa_does_not_shrink_in_panic() -> None:
    """Until a whole stable window has passed without a reason to panic."""
    policy = scaler()
    assert policy.scale(0.0, one(50.0), one(200.0), one(5))[0] == 20
    assert policy.scale(2.0, one(50.0), one(50.0), one(5))[0] == 20
    assert policy.scale(60.0, one(50.0), one(50.0), one(20))[0] == 20
    assert policy.scale(61.0, one(150.0), one(150.0), one(20))[0] == 15


@pytest.mark.parametrize(
    ("current", "cache", "queue", "wanted"),
    [
        (4, 0.85, 0.0, 5),
        (4, 0.2, 5.0, 5),
        (4, 0.75, 0.0, 5),
        (4, 0.2, 2.5, 5),
        (4, 0.6, 0.0, 4),
        (4, 0.4, 0.0, 3),
    ],
    ids=[
        "cache full",
        "queue full",
        "little cache spare",
        "little queue spare",
        "one fewer would be short",
        "spare",
    ],
)
def test_saturation(current: int, cache: float, queue: float, wanted: int) -> None:
    """One more where less than a tenth of the cache or three places in the queue are spare; one fewer where
    they would be spare still.
    """
    assert saturation.step(one(current), one(current), one(cache), one(queue), 0.8)[0] == wanted
    assert saturation.step(one(1), one(1), one(0.0), one(0.0), 0.8)[0] == 1
