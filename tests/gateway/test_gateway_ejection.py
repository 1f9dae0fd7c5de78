"""Pods that fail are left alone, and second attempts are few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_gateway.pods.budget import RetryBudget
from ostiary_gateway.pods.ejection import Ejections, EjectionSettings

PODS = ["a", "b", "c", "d"]


def failing(times: int, *pods: str) -> Ejections:
    found = Ejections()
    for pod in pods:
        for _ in range(times):
            found.failed(pod, 0.0)
    return found


def test_five_failures_in_a_row_eject_for_half_a_minute() -> None:
    """Four do not, and five with a success between do not either."""
    found = failing(4, "a")
    assert found.available(PODS, 0.0) == PODS
    found.succeeded("a", 0.0)
    assert not found.failed("a", 0.0)
    assert failing(5, "a").available(PODS, 29.9) == ["b", "c", "d"]
    assert failing(5, "a").available(PODS, 30.0) == PODS


def test_who_fails_again_stays_out_longer() -> None:
    """The second time twice as long, up to five minutes; after doing well the count goes down again."""
    found, now = Ejections(), 0.0
    lengths = []
    for _ in range(14):
        while not found.failed("a", now):
            pass
        began = now
        while found.available(["a", "b"], now) != ["a", "b"]:
            now += 1.0
        lengths.append(now - began)
    assert lengths[:3] == [30.0, 60.0, 90.0]
    assert max(lengths) == 300.0
    for _ in range(20):
        now += 31.0
        found.succeeded("a", now)
    while not found.failed("a", now):
        pass
    assert found.available(["a", "b"], now + 30.0) == ["a", "b"]


@pytest.mark.parametrize(
    ("bad", "asked"),
    [
        pytest.param(["a", "b"], ["c", "d"], id="half may be out"),
        pytest.param(["a", "b", "c"], 2, id="no more than half"),
        pytest.param(["a", "b", "c", "d"], 2, id="all fail: half are asked all the same"),
    ],
)
def test_a_share_stays_in(bad: list[str], asked: list[str] | int) -> None:
    """Where most fail, the fault is rarely with each of them."""
    available = failing(5, *bad).available(PODS, 1.0)
    assert available == asked if isinstance(asked, list) else len(available) == asked


def test_the_only_pod_is_always_asked() -> None:
    """Nothing is won by leaving it alone."""
    assert failing(50, "a").available(["a"], 1.0) == ["a"]


def test_pods_that_are_gone_are_forgotten() -> None:
    """An address that comes back begins anew."""
    found = failing(5, "a")
    found.keep(["b"])
    assert found.available(PODS, 0.0) == PODS


@given(st.lists(st.tuples(st.sampled_from(PODS), st.booleans(), st.floats(0, 20)), max_size=120))
def test_somebody_is_always_there_to_ask(events: list[tuple[str, bool, float]]) -> None:
    """Whatever happens, at least half of the pods are available, and none that never failed is left out."""
    found, now, failed = Ejections(EjectionSettings(consecutive_errors=2)), 0.0, set()
    for pod, well, gap in events:
        now += gap
        if well:
            found.succeeded(pod, now)
        else:
            failed.add(pod)
            found.failed(pod, now)
        available = found.available(PODS, now)
        assert len(available) >= 2
        assert set(PODS) - failed <= set(available)


@pytest.mark.parametrize(
    ("per_second", "granted"),
    [
        pytest.param(0, 100, id="few: ten a second"),
        pytest.param(50, 200, id="many: and a fifth of what is asked"),
    ],
)
def test_second_attempts_are_a_share_of_the_last_seconds(per_second: int, granted: int) -> None:
    """What a pod leaves behind when it dies comes at once, and may all be tried again; nothing for long."""
    budget = RetryBudget()
    for second in range(60):
        for _ in range(per_second):
            budget.call(second + 0.5)
    assert sum(budget.retry(59.9) for _ in range(1_000)) == granted
    assert not budget.retry(68.9)
    assert budget.retry(69.9)


@given(st.lists(st.tuples(st.floats(0, 4), st.booleans()), max_size=200))
def test_no_ten_seconds_see_more_second_attempts_than_the_budget(events: list[tuple[float, bool]]) -> None:
    """Whatever comes when: the last one granted makes them, within ten seconds, 100 and a fifth at most."""
    budget, now, calls, retries = RetryBudget(), 0.0, [0] * 900, [0] * 900
    for gap, retried in events:
        now += gap
        if not retried:
            budget.call(now)
            calls[int(now)] += 1
        elif granted := sum(budget.retry(now) for _ in range(30)):
            retries[int(now)] += granted
            window = slice(max(0, int(now) - 9), int(now) + 1)
            assert sum(retries[window]) <= 100 + 0.2 * sum(calls[window])
