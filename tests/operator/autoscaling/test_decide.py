"""Decisions: demand, GPU metrics, guards, panic, zero, fallback, quarantine and modes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ostiary_operator.autoscaling.decide import decide
from ostiary_operator.autoscaling.inputs import PodSample, Sample
from ostiary_operator.autoscaling.memory import Memory
from ostiary_operator.autoscaling.pod_metrics import load_of
from tests.operator.autoscaling.fleets import CAPACITY, GPU, SM, START, Version, pods, spec


def steps(decision: Any) -> dict[str, str]:
    return {step.name: step.why for step in decision.steps}


@pytest.mark.parametrize(("rate", "pods_wanted"), [(64.0, 4), (160.0, 10), (16.0, 1)])
def test_demand_over_capacity(rate: float, pods_wanted: int) -> None:
    """Arrivals over 80% of what a pod does, whatever the GPU's duty cycle reads."""
    version = Version(spec(), 5, rate)
    assert version.settle(20).desired == pods_wanted


def ramped(rates: list[float], chance: Callable[[int], float] = lambda tick: 0.0, **fields: Any) -> Version:
    """A version after a quarter of a minute at each rate, with ten pods in the end."""
    version = Version(spec(**fields), 10, rates[0])
    for tick, rate in enumerate(rates):
        version.rate = rate + chance(tick)
        version.pass_time()
        version.decide()
        version.replicas = 10
    version.pass_time()
    return version


def test_a_rise_counts_as_it_will_be_when_new_pods_are_ready() -> None:
    """From 60 on by 2 checks/s each second: by the last sample 180; 15 s until the next decision and 30 s of
    loading later about 270, of which a pod does 16.
    """
    rising = [60.0 + 30.0 * tick for tick in range(5)]
    decision = ramped([60.0] * 8 + rising, metrics=[{"type": "Demand"}]).decide()
    assert decision.raw > 1.15 * 180.0 / 16.0
    assert "rising to" in decision.readings[0].more
    blind = ramped([60.0] * 8 + rising, metrics=[{"type": "Demand", "trendSeconds": 0}]).decide()
    assert blind.raw <= 12
    assert not blind.readings[0].more


@pytest.mark.parametrize(
    ("rates", "chance"),
    [
        ([160.0] * 20, lambda tick: 0.0),
        ([160.0] * 20, lambda tick: (-1) ** tick * 40.0),
        ([160.0 - 5.0 * tick for tick in range(20)], lambda tick: 0.0),
        ([160.0] * 3, lambda tick: 10.0 * tick),
    ],
    ids=["flat", "to and fro", "falling", "too few samples"],
)
def test_what_does_not_surely_rise_is_taken_as_it_is(
    rates: list[float], chance: Callable[[int], float]
) -> None:
    """Chance is no trend, a fall is followed and not foretold, and three points prove nothing."""
    assert not ramped(rates, chance).decide().readings[0].more


def test_no_rise_is_believed_without_bound() -> None:
    """A crowd that comes at once looks like a steep line: half as much again is the most it is taken for."""
    jump = [20.0] * 6 + [20.0, 200.0, 380.0]
    for _ in range(3):
        version = ramped(jump, capacity={**CAPACITY, "coldStartSeconds": 600})
        decision = version.decide()
        assert decision.raw <= 1.5 * 400.0 / 16.0 + 1
        jump.append(400.0)


def test_pods_that_dropped_out_are_asked_for_again() -> None:
    """Two of ten that took checks no longer do: two more, until they are back; pods on their way are not
    meant, and where most are gone, more of the same would not help.
    """
    version = Version(spec(metrics=[{"type": "Demand"}]), 10, 160.0)
    version.settle(12)
    assert version.replicas == 10

    def wanted(out: int) -> Any:
        version.pass_time()
        ready = pods(10 - out, version.now)
        gone = tuple(PodSample(f"gone-{number}", False, START) for number in range(out))
        return decide(version.spec, replace(version.inputs(), pods=ready + gone), version.memory, version.now)

    assert wanted(2).raw == 12
    assert "2 pods have dropped out" in wanted(2).readings[0].more
    assert wanted(9).raw == 15
    assert wanted(0).raw == 10
    version.memory = Memory()
    assert wanted(2).raw == 10, "whoever has just started cannot tell them from pods on their way"


def test_pods_that_were_let_go_have_not_dropped_out() -> None:
    """Ten, then six by hand, then ten again: four are loading."""
    version = Version(spec(metrics=[{"type": "Demand"}]), 10, 160.0)
    version.settle(12)
    version.pass_time()
    version.decide(current=6, pods=pods(6, version.now))
    version.pass_time()
    loading = tuple(PodSample(f"new-{number}", False, version.now) for number in range(4))
    decision = version.decide(current=10, pods=pods(6, version.now) + loading)
    assert not decision.readings[0].more


def test_pods_that_somebody_else_asked_for_have_not_dropped_out() -> None:
    """A rollout adds pods for its next step: they are loading."""
    version = Version(spec(metrics=[{"type": "Demand"}]), 10, 160.0)
    version.settle(12)
    version.pass_time()
    loading = tuple(PodSample(f"new-{number}", False, version.now) for number in range(4))
    decision = version.decide(current=14, pods=pods(10, version.now) + loading)
    assert decision.raw == 10


def test_a_queue_adds_to_demand_by_what_is_left_of_its_deadlines() -> None:
    """Checks that a new pod can still help count at the rate at which they have to be done; others do not."""
    version = Version(spec(bulkOnly=True, deadlineSeconds=600), 5, 64.0, queue=((130.0, 8000.0),))
    assert version.settle(2).readings[0].value == pytest.approx((64.0 + 80.0) / 20.0)
    hopeless = Version(spec(), 5, 64.0, queue=((2.0, 8000.0),))
    decision = hopeless.settle(2)
    assert decision.readings[0].value == pytest.approx(64.0 / 20.0, rel=0.1)
    assert decision.desired >= decision.current


@pytest.mark.parametrize(
    ("busy", "outstanding", "load"),
    [
        (0.4, None, 0.1),
        (0.96, 1.0, 0.24),
        (1.0, 32.0, 1.0),
        (1.0, 1.0, 0.25),
        (1.0, 48.0, 1.5),
        (1.0, None, 1.0),
    ],
)
def test_utilisation_is_read_through_the_profile(busy: float, outstanding: float | None, load: float) -> None:
    """A GPU that works through single checks is busy at a quarter of what it can do in batches."""
    assert load_of(busy, outstanding, spec().capacity) == pytest.approx(load)


def test_a_busy_gpu_at_little_demand_does_not_buy_pods() -> None:
    """The plain ratio would: 95% busy against 80% asks for more. Read through the profile it does not."""
    version = Version(spec(metrics=[{"type": "GPU", "metric": GPU}]), 8, 0.0, busy=95.0)
    assert version.settle(1).readings[0].proposal == 3
    plain = Version(spec(metrics=[{"type": "GPU", "metric": GPU, "profiled": False}]), 8, 0.0, busy=95.0)
    assert plain.settle(1).readings[0].proposal == 10


def test_the_largest_proposal_counts() -> None:
    """GPU utilisation is a metric like any other: where it asks for more, more it is."""
    metrics = [{"type": "Demand"}, {"type": "GPU", "profiled": False, "target": 0.5}]
    assert Version(spec(metrics=metrics), 4, 64.0, busy=90.0).settle(2).raw >= 8


@pytest.mark.parametrize("sharing", ["mig", "time-slicing"])
def test_shared_gpus_are_recognised(sharing: Any) -> None:
    """The device's utilisation is nobody's then: the metric abstains, says so, and holds nothing up."""
    version = Version(spec(), 6, 16.0)
    for _ in range(20):
        version.pass_time()
        shared = tuple(replace(pod, sharing=sharing) for pod in pods(version.replicas, version.now, 100.0))
        decision = version.decide(pods=shared)
    assert decision.readings[1].proposal is None
    assert "share their GPU" in decision.readings[1].trouble
    assert not decision.condition("MetricsHealthy").status
    assert decision.desired == 1


def test_mig_leaves_the_metrics_of_instances() -> None:
    """SM activity is an instance's own under MIG, and the device's under time-slicing."""
    for sharing, proposal in (("mig", 4), ("time-slicing", None)):
        version = Version(spec(metrics=[{"type": "GPU", "metric": SM, "profiled": False}]), 4, 0.0)
        pod = PodSample("a", True, 0.0, {SM: Sample(0.8, START)}, sharing)  # type: ignore[arg-type]
        assert version.decide(pods=(pod,) * 4).readings[0].proposal == proposal


def test_pending_pods_are_not_asked_for_twice() -> None:
    """While pods load, the same demand asks for the same number."""
    version = Version(spec(), 4, 160.0)
    wanted = []
    for _ in range(6):
        version.pass_time()
        ready = pods(4, version.now, 100.0, 40.0)
        coming = tuple(PodSample(f"new-{i}", False, version.now) for i in range(version.replicas - 4))
        wanted.append(version.decide(pods=ready + coming).desired)
    assert wanted[-1] == wanted[-2] == 10


def test_pods_that_do_not_come_hold_back_more() -> None:
    """Without a GPU free, more pods would only wait too."""
    version = Version(spec(), 4, 400.0)
    version.settle(1)
    version.pass_time()
    stuck = (*pods(3, version.now), PodSample("stuck", False, version.now - 3600.0))
    decision = version.decide(current=4, pods=stuck)
    assert decision.desired == 4
    assert decision.condition("AbleToScale").reason == "PodsPending"


def test_panic_takes_nothing_away() -> None:
    """After a burst of twice what is ready, nothing goes for a minute even where the window is over."""
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    metrics = [{"type": "Demand", "trendSeconds": 0}]
    version = Version(spec(behavior=behavior, metrics=metrics), 2, 200.0)
    version.settle(4)
    version.rate = 16.0
    version.pass_time(30.0)
    decision = version.decide()
    assert decision.desired == decision.current > 2
    assert "panic" in steps(decision)["veto"]
    version.settle(8)
    assert version.replicas == 1


@pytest.mark.parametrize("field", ["misses", "queue"])
def test_nothing_goes_while_callers_suffer(field: str) -> None:
    """Missed deadlines or a queue: whatever the metrics say."""
    version = Version(spec(), 8, 16.0)
    for _ in range(10):
        version.pass_time()
        if field == "misses":
            version.misses += 3.0
        else:
            version.queue = ((1.0, 5.0),)
        decision = version.decide()
    assert decision.desired == 8


def test_bulk_only_versions_go_to_zero_and_back() -> None:
    """Idle for five minutes, not sooner; and work brings the first pod at once."""
    version = Version(spec(bulkOnly=True, minReplicas=0), 3, 0.0, busy=0.0)
    assert version.settle(12).desired == 1
    assert version.settle(16).desired == 0
    version.queue = ((600.0, 10.0),)
    assert version.settle(1).desired == 1


def test_zero_by_hand_stays() -> None:
    """As with an HPA: somebody has switched it off."""
    decision = Version(spec(), 0, 100.0).settle(2)
    assert decision.desired == 0
    assert decision.condition("ScalingActive").reason == "ScalingDisabled"


def test_fallback_when_metrics_are_gone() -> None:
    """After three minutes at least the fallback's replicas, within the rates, and never fewer than there
    are.
    """
    for replicas, wanted in ((2, 9), (12, 12)):
        version = Version(spec(fallback={"replicas": 9, "afterSeconds": 180}), replicas, 16.0 * replicas)
        version.settle(4)
        seen = []
        for _ in range(16):
            version.pass_time()
            bare = tuple(replace(pod, metrics={}) for pod in pods(version.replicas, version.now))
            decision = version.decide(gateways=(), pods=bare)
            seen.append(decision.desired)
        assert seen[8] == replicas
        assert seen[-1] == wanted
        assert decision.condition("ScalingActive").reason == "NoMetricTrusted"


def test_a_metric_that_disagrees_is_set_aside() -> None:
    """A stuck exporter reads 100%; demand and the pods' outstanding checks say otherwise, and win after 2
    min.
    """
    metrics = [{"type": "Demand"}, {"type": "GPU", "profiled": False, "target": 0.3}]
    version = Version(spec(metrics=metrics, maxReplicas=12), 4, 64.0, busy=100.0)
    first = version.settle(1)
    assert first.desired == 12 or first.raw > 8
    decision = version.settle(12)
    assert "quarantined" in decision.readings[1].trouble
    assert version.settle(8).desired == 4


def test_two_that_disagree_only_hold() -> None:
    """Nobody can say which is wrong: the larger counts, and nothing is taken away."""
    metrics = [{"type": "Demand"}, {"type": "GPU", "profiled": False}]
    version = Version(spec(metrics=metrics), 12, 16.0, busy=85.0)
    for _ in range(20):
        version.pass_time()
        decision = version.decide(pods=pods(version.replicas, version.now, 85.0, None))
    assert decision.desired == 12


@pytest.mark.parametrize("mode", ["DryRun", "Freeze"])
def test_modes_that_change_nothing(mode: str) -> None:
    """They decide all the same, and tell."""
    decision = Version(spec(mode=mode), 4, 400.0).settle(4)
    assert (decision.current, decision.desired) == (4, 4)
    assert decision.wanted > 4
    assert not decision.condition("AbleToScale").status


def test_bounds() -> None:
    """Most and fewest hold whatever is wanted."""
    top = Version(spec(maxReplicas=6), 4, 4000.0).settle(3)
    assert (top.desired, top.condition("ScalingLimited").reason) == (6, "TooManyReplicas")
    low = Version(spec(minReplicas=3), 4, 1.0).settle(20)
    assert (low.desired, low.condition("ScalingLimited").reason) == (3, "TooFewReplicas")


def test_victims_have_least_work() -> None:
    """Not ready first, then least in hand, then the youngest; unknown work counts as most."""
    version = Version(spec(behavior={"scaleDown": {"stabilizationWindowSeconds": 0}}), 5, 16.0)
    version.settle(1)
    version.replicas = 5
    version.pass_time()
    work = (9.0, 2.0, None, 5.0)
    some = tuple(replace(pod, outstanding=left) for pod, left in zip(pods(4, version.now), work, strict=True))
    decision = version.decide(pods=(*some, PodSample("coming", False, version.now)))
    assert decision.desired < 5
    assert decision.victims == ("coming", "pod-1", "pod-3", "pod-0")[: 5 - decision.desired]


def test_the_same_question_gets_the_same_answer() -> None:
    """Nothing but the arguments has a say, and the memory that was given is not touched."""
    from ostiary_operator.autoscaling.decide import decide

    version = Version(spec(), 4, 100.0)
    version.settle(3)
    version.pass_time()
    before = repr(version.memory)
    answers = [decide(version.spec, version.inputs(), version.memory, version.now) for _ in range(2)]
    assert answers[0] == answers[1]
    assert repr(version.memory) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"minReplicas": 0}, "bulkOnly"),
        ({"minReplicas": 60}, "at most maxReplicas"),
        ({"maxReplica": 3}, "maxReplica"),
        ({"capacity": {**CAPACITY, "points": CAPACITY["points"][::-1]}}, "sort them"),  # type: ignore[index]
        ({"metrics": [{"type": "Demand"}, {"type": "Demand"}]}, "at most once"),
        ({"deadlineSeconds": float("nan")}, "deadlineSeconds"),
    ],
)
def test_bad_specs_name_the_field(change: dict[str, Any], words: str) -> None:
    """And what to do."""
    with pytest.raises(ValueError, match=words):
        spec(**change)
