"""Bad input: never a scale-down, a condition that says why, a bounded scale-up."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary_operator.autoscaling.behavior import up_limit
from ostiary_operator.autoscaling.decision import Decision
from ostiary_operator.autoscaling.inputs import GatewaySample, PodSample, Sample
from tests.operator.autoscaling.fleets import GPU, Version, pods, spec

FEWER = 8
"""Pods, at a demand for one: left alone the version would shrink."""
wrong = st.one_of(
    st.just(math.nan),
    st.just(math.inf),
    st.floats(max_value=-1e-6, allow_infinity=True),
    st.floats(min_value=1e16, allow_infinity=True),
)
wrong_utilisation = st.one_of(wrong, st.floats(min_value=101.0))


def calm() -> Version:
    """A version about to shrink: too many pods, little demand, windows short."""
    version = Version(spec(behavior={"scaleDown": {"stabilizationWindowSeconds": 0}}), FEWER, 10.0)
    version.settle(1)
    version.replicas = FEWER
    version.pass_time()
    return version


def test_left_alone_it_shrinks() -> None:
    """What every other test of this file would see, were the input good."""
    assert calm().decide().desired < FEWER


def holds(version: Version, decision: Decision) -> None:
    most = up_limit(FEWER, version.spec.behavior.scale_up, version.now, (), ())
    assert FEWER <= decision.desired <= most
    condition = decision.condition("MetricsHealthy")
    assert not condition.status
    assert condition.message


@given(wrong_utilisation, st.integers(0, FEWER))
@settings(max_examples=60)
def test_a_wrong_gpu_figure(value: float, bad: int) -> None:
    """Not a number, negative or more than there is: of one pod or of all."""
    version = calm()
    some = [
        replace(pod, metrics={GPU: Sample(value, version.now)}) if index <= bad else pod
        for index, pod in enumerate(pods(FEWER, version.now))
    ]
    holds(version, version.decide(pods=tuple(some)))


@given(wrong, st.sampled_from(["arrivals", "misses", "queue"]))
@settings(max_examples=60)
def test_a_wrong_gateway_figure(value: float, field: str) -> None:
    """Counters and queues that cannot be."""
    version = calm()
    given_value = ((1.0, value),) if field == "queue" else value
    gateway = replace(version.inputs().gateways[0], **{field: given_value})
    holds(version, version.decide(gateways=(gateway,)))


@given(st.one_of(st.floats(61.0, 1e9), st.floats(-1e9, -6.0)))
@settings(max_examples=40)
def test_a_sample_from_another_time(age: float) -> None:
    """Stale, or from the future: of pods and of gateways."""
    version = calm()
    gateway = replace(version.inputs().gateways[0], at=version.now - age)
    late = tuple(
        replace(pod, metrics={GPU: Sample(1.0, version.now - age)}) for pod in pods(FEWER, version.now)
    )
    holds(version, version.decide(gateways=(gateway,), pods=late))


def test_nothing_at_all() -> None:
    """No gateway and no figure of any pod."""
    version = calm()
    bare = tuple(replace(pod, metrics={}) for pod in pods(FEWER, version.now))
    holds(version, version.decide(gateways=(), pods=bare))


def test_one_gateway_of_two_falls_silent() -> None:
    """Its part of the demand is not known to be gone."""
    version = calm()
    both = (*version.inputs().gateways, GatewaySample("gateway-1", version.now, 500.0))
    version.decide(gateways=both)
    version.replicas = FEWER
    version.pass_time()
    decision = version.decide()
    holds(version, decision)
    assert "gateway-1: silent" in decision.condition("MetricsHealthy").message


@given(st.floats(0.0, 100.0))
@settings(max_examples=40)
def test_a_counter_that_starts_anew(value: float) -> None:
    """A gateway restarted: what it counts from zero on is the least that arrived."""
    version = calm()
    version.decide()
    version.replicas = FEWER
    version.arrivals = value
    version.now += 15.0
    decision = version.decide()
    holds(version, decision)
    assert "started anew" in decision.condition("MetricsHealthy").message


@given(st.floats(1e7, 1e14))
@settings(max_examples=40)
def test_an_absurd_leap(arrivals: float) -> None:
    """A rate that all pods together could not have served a hundredth of is no rate."""
    version = calm()
    version.arrivals += arrivals
    decision = version.decide()
    holds(version, decision)
    assert decision.desired == FEWER


@given(st.one_of(st.floats(-1e9, -0.001), st.floats(301.0, 1e9)))
@settings(max_examples=60)
def test_a_clock_that_jumps(seconds: float) -> None:
    """Back or far on: the windows begin anew with what there is."""
    version = calm()
    version.decide()
    version.replicas = FEWER
    version.now += seconds
    version.arrivals += 1.0
    decision = version.decide()
    assert FEWER <= decision.desired <= 2 * FEWER
    assert decision.condition("MetricsHealthy").reason == "ClockJumped"


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_a_clock_that_reads_nothing(now: float) -> None:
    """Nothing is done, and nothing is remembered."""
    version = calm()
    version.now, before = now, version.memory
    decision = version.decide()
    assert decision.desired == FEWER
    assert decision.memory == before
    assert decision.condition("MetricsHealthy").reason == "ClockUnusable"


samples = st.builds(Sample, st.floats(allow_nan=True), st.floats(allow_nan=True))
some_pods = st.lists(
    st.builds(
        PodSample,
        name=st.sampled_from("abcdef"),
        ready=st.booleans(),
        created=st.floats(allow_nan=True),
        metrics=st.dictionaries(st.sampled_from([GPU, "status.queued"]), samples, max_size=2),
        sharing=st.sampled_from(["none", "mig", "time-slicing"]),
        outstanding=st.one_of(st.none(), st.floats(allow_nan=True)),
    ),
    max_size=6,
)
some_gateways = st.lists(
    st.builds(
        GatewaySample,
        name=st.sampled_from("xyz"),
        at=st.floats(allow_nan=True),
        arrivals=st.floats(allow_nan=True),
        misses=st.floats(allow_nan=True),
        queue=st.lists(st.tuples(st.floats(allow_nan=True), st.floats(allow_nan=True)), max_size=2).map(
            tuple
        ),
    ),
    max_size=3,
)


@given(
    st.lists(st.tuples(some_pods, some_gateways, st.floats(allow_nan=True), st.integers(0, 60)), max_size=4)
)
@settings(max_examples=150, deadline=None)
def test_anything_at_all(readings: list[tuple[list[PodSample], list[GatewaySample], float, int]]) -> None:
    """Whatever is read, and in whatever order: an answer within the bounds and the rates, and no
    exception.
    """
    metrics = [{"type": "Demand"}, {"type": "GPU"}, {"type": "Status", "field": "queued", "target": 4}]
    version = Version(spec(metrics=metrics), 4, 10.0)
    for read, gateways, now, current in readings:
        version.now = now
        decision = version.decide(current=current, pods=tuple(read), gateways=tuple(gateways))
        assert decision.desired <= max(version.spec.max_replicas, current)
        assert decision.desired <= max(current, min(max(2 * current, current + 4), 50), 1)
        assert {condition.type for condition in decision.conditions} == {
            "AbleToScale",
            "ScalingActive",
            "ScalingLimited",
            "MetricsHealthy",
        }
