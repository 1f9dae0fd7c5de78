"""What promises 7 and 8 make of what they measured."""

import pytest

from bench.gateway.load import Outcome
from bench.promises import bounded, overload
from bench.promises.bounded import Memory
from bench.promises.overload import Overload

GOOD = Overload(
    unloaded_p99=0.5, peak=50.0, goodput=46.0, accepted_p99=0.9, reject_p99=0.04, recovery=3.0, strange={}
)


@pytest.mark.parametrize(
    ("change", "met"),
    [
        pytest.param({}, True, id="graceful"),
        pytest.param({"goodput": 44.0}, False, id="goodput"),
        pytest.param({"accepted_p99": 1.1}, False, id="accepted checks wait"),
        pytest.param({"reject_p99": 0.06}, False, id="refusals wait"),
        pytest.param({"recovery": 11.0}, False, id="slow to recover"),
        pytest.param({"strange": {"UNAVAILABLE": 1}}, False, id="neither answered nor refused"),
    ],
)
def test_every_bar_counts(change: dict[str, object], met: bool) -> None:
    """One bar that is missed is enough."""
    assert Overload(**{**vars(GOOD), **change}).met is met


def test_goodput_is_what_was_answered_in_time() -> None:
    """Answers from before it had settled, and from after its end, are no part of it."""
    ended_at = (1.0, 3.0, 4.0, 9.0, 12.0)
    calls = [(end - 0.5, 0.5, "ok") for end in ended_at] + [(4.0, 0.1, "RESOURCE_EXHAUSTED")]
    assert overload.goodput_of(Outcome(10.0, 0.0, calls), settled=2.0) == pytest.approx(3 / 8)


def test_recovery_ends_with_the_last_call_that_noticed() -> None:
    """A failure or a slow answer counts; where nobody noticed anything, it took no time."""
    calls = [(0.5, 0.1, "RESOURCE_EXHAUSTED"), (2.0, 3.0, "ok"), (4.0, 0.4, "ok")]
    assert overload.recovery_of(Outcome(5.0, 0.0, calls), bearable=1.0) == 2.0
    assert overload.recovery_of(Outcome(5.0, 0.0, calls[2:]), bearable=1.0) == 0.0


def test_growth_counts_once_there_were_enough_requests() -> None:
    """Too much memory is too much at any count; growth is told of many requests alone."""
    assert bounded.shown(1_000, 300_000_000, 900.0, read=5).met
    assert not bounded.shown(200_000, 300_000_000, 51.0, read=5).met
    assert not bounded.shown(1_000, 600_000_000, 0.0, read=5).met
    assert not bounded.shown(200_000, 300_000_000, 1.0, read=0).met, "nobody read slowly"


def test_growth_is_between_medians() -> None:
    """A moment with more memory is no growth."""
    samples = [(float(at), 100 + at) for at in range(100)]
    samples[5] = (5.0, 9_000)
    assert Memory(samples).growth(0.0, 99.0) == pytest.approx(90.0, abs=1.0)


def test_a_crowd_is_answered_or_refused() -> None:
    """At ten times what the pod carries nobody is left waiting; how fast, the promise's own run tells."""
    shown = overload.run(8.0)
    assert shown.count > 0
    assert shown.figure > 0
    assert "strange" not in shown.unit
