"""Gates that a candidate has to pass before it gets traffic, or most of it, as stories on a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from ostiary_operator.rollout.simulation import Pods
from ostiary_operator.rollout.snapshot import GateJob, Proof, Request
from simulated_rollout import World, serving, spec

Json = dict[str, Any]
STEPS = [{"setWeight": 1000}, {"setWeight": 5000}]
GOLDEN: Json = {
    "goldenSet": {"folder": "pvc://golden", "bounds": [{"figure": "category/top1", "atLeast": 0.7}]}
}
REPLAY: Json = {"replay": {"policy": "policy-2", "flipBudget": "0.5%", "gateway": "gateway"}}


def roll(world: World, gates: Json, version: str = "v2", **strategy: object) -> None:
    """The spec names another version, which has gates before it."""
    world.spec = spec(version, strategy={"canary": {"steps": STEPS}, "gates": gates, **strategy})
    world.generation += 1


def gated(gates: Json) -> World:
    """v1 serves, and v2 stands before its gates."""
    world = serving()
    roll(world, gates)
    world.run(5)
    return world


def judge(world: World, phase: str, message: str = "category/top1 0.61 of 800") -> None:
    """What the Jobs that run come to."""
    for name, job in world.gate_jobs.items():
        if job.phase == "Running":
            over = phase != "Running"
            world.gate_jobs[name] = GateJob(job.gate, job.version, job.attempt, phase, message, over)  # type: ignore[arg-type]


def why(world: World) -> tuple[str, str]:
    """Reason and message of where it is."""
    return next((one.reason, one.message) for one in world.status.conditions if one.type == "Progressing")


def test_no_traffic_and_no_pods_before_a_gate_is_passed() -> None:
    """Its Job runs on a GPU of its own; pods that nobody asks would only take another."""
    world = gated(GOLDEN)
    world.run(2_000)
    (job,) = world.gate_jobs.values()
    assert (job.gate, job.version, world.status.gate) == ("goldenSet", "v2", "goldenSet")
    assert why(world)[0] == "GateRunning"
    assert (dict(world.route.weights), world.versions["v2"].born) == ({"v1": 10_000}, [])
    judge(world, "Passed")
    world.settle()
    assert (world.status.stable, world.status.gate) == ("v2", None)
    assert world.versions["v2"].proofs == {"goldenSet": Proof(True, "category/top1 0.61 of 800")}


def test_a_gate_that_fails_takes_the_candidate_back() -> None:
    """With reason and figures, for as long as it is rejected; a retry asks again."""
    world = gated(GOLDEN)
    judge(world, "Failed")
    world.settle()
    world.run(100)
    assert (world.status.phase, world.status.rejected) == ("Degraded", "v2")
    assert why(world) == (
        "GateFailed",
        "gate goldenSet: category/top1 0.61 of 800; v2 was taken back; v1 serves until the spec names "
        "another version",
    )
    assert world.versions["v2"].proofs["goldenSet"].passed is False
    assert any(one.reason == "RolloutAborted" and "0.61" in one.message for one in world.events)
    before = set(world.gate_jobs)
    world.request = Request("retry", "1")
    world.run(5)
    assert [job.phase for job in world.gate_jobs.values()] == ["Running"]
    assert not before & set(world.gate_jobs)


def test_what_cannot_run_is_for_people() -> None:
    """No promotion, whatever one asks, unless one insists; that is told."""
    world = gated(GOLDEN)
    judge(world, "Inconclusive", "ImagePullBackOff")
    world.run(3_000)
    assert (world.status.phase, why(world)) == (
        "Paused", ("GateInconclusive", "gate goldenSet: ImagePullBackOff"),
    )  # fmt: skip
    for number, verb in enumerate(("promote", "promote-full")):
        world.request = Request(verb, f"{number}")  # type: ignore[arg-type]
        world.run(200)
        assert dict(world.route.weights) == {"v1": 10_000}
    world.request = Request("promote", "insist", force=True)
    world.settle()
    assert world.status.stable == "v2"
    assert "GateWaived" in [one.reason for one in world.events]


def test_a_job_that_runs_again_after_all_lets_through() -> None:
    """Inconclusive is how things are, not how they stay: an image that comes late is as good as any."""
    world = gated(GOLDEN)
    (name,) = world.gate_jobs
    world.gate_jobs[name] = GateJob("goldenSet", "v2", 1, "Inconclusive", "ImagePullBackOff")
    world.run(60)
    assert world.status.phase == "Paused"
    world.gate_jobs[name] = GateJob("goldenSet", "v2", 1, "Passed", "0.9", over=True)
    world.settle()
    assert world.status.stable == "v2"


def test_what_was_proved_is_not_proved_again() -> None:
    """A version that was passed once takes its steps at once."""
    world = serving()
    world.versions["v2"].proofs["goldenSet"] = Proof(True, "0.9")
    roll(world, GOLDEN)
    world.settle()
    assert (world.status.stable, world.gate_jobs) == ("v2", {})


def test_gates_run_beside_each_other_and_the_worst_decides() -> None:
    """All Jobs at once; one that fails ends the others."""
    world = gated(GOLDEN | REPLAY)
    assert sorted(job.gate for job in world.gate_jobs.values()) == ["goldenSet", "replay"]
    name = next(name for name, job in world.gate_jobs.items() if job.gate == "replay")
    world.gate_jobs[name] = GateJob("replay", "v2", 1, "Failed", "900 of 10,000", over=True)
    world.settle()
    assert why(world)[0] == "GateFailed"
    assert list(world.gate_jobs) == [name]


@pytest.mark.parametrize(
    ("before", "held"), [("Traffic", 0), ("Majority", 5000)], ids=["before any traffic", "before most of it"]
)
def test_where_a_gate_stands(before: str, held: int) -> None:
    """Half of the traffic is not most of it."""
    gates = {"goldenSet": GOLDEN["goldenSet"] | {"before": before}}
    world = serving()
    roll(world, gates)
    world.run(300)
    assert world.route.weights.get("v2", 0) == held
    judge(world, "Passed")
    world.settle()
    assert world.status.stable == "v2"


def test_copies_need_no_gate() -> None:
    """A shadow's answers reach nobody: the gate is before its first share."""
    world = serving()
    roll(world, GOLDEN, shadow={"share": 1000, "seconds": 60})
    world.run(45)
    assert dict(world.route.mirrors) == {"v2": 1000}
    world.run(200)
    assert (world.status.gate, dict(world.route.weights)) == ("goldenSet", {"v1": 10_000})


def test_time_before_a_gate_does_not_count() -> None:
    """The progress deadline begins when the candidate is let through."""
    world = serving()
    world.spec = spec(
        "v2", strategy={"canary": {"steps": STEPS}, "gates": GOLDEN}, progressDeadlineSeconds=60
    )
    world.run(3_000)
    judge(world, "Passed")
    world.settle()
    assert world.status.stable == "v2"


def test_a_gate_that_asks_for_something_else_is_asked_anew() -> None:
    """What the Job of the earlier spec says is nobody's proof."""
    world = gated(GOLDEN)
    (first,) = world.gate_jobs
    stricter = {"goldenSet": GOLDEN["goldenSet"] | {"bounds": [{"figure": "category/top1", "atLeast": 0.9}]}}
    judge(world, "Passed")
    world.spec = spec("v2", strategy={"canary": {"steps": STEPS}, "gates": stricter})
    world.run(60)
    assert (world.status.gate, world.versions["v2"].proofs) == ("goldenSet", {})
    assert [job.phase for name, job in world.gate_jobs.items() if name != first] == ["Running"]


@pytest.mark.parametrize(
    "change",
    ["abort", "another version", "rollback"],
)
def test_jobs_that_nobody_waits_for_go(change: str) -> None:
    """Whatever ends the wait ends the Job too."""
    world = gated(GOLDEN)
    (first,) = world.gate_jobs
    if change == "abort":
        world.request = Request("abort", "1")
    elif change == "another version":
        roll(world, GOLDEN, "v3")
    else:
        world.spec = spec("v1")
    world.run(30)
    assert first not in world.gate_jobs


CAPACITY = {
    "quota": (
        {}, 2, 25.0, "v2 carries at most 20 checks/s, 2 pods of 10 by the namespace's quota; needed are 25",
    ),
    "the gate's own number of pods": (
        {"pods": 1}, None, 20.0, "v2 carries at most 10 checks/s, 1 pods of 10 by gates.capacity.pods; "
        "needed are 20",
    ),
    "headroom": (
        {"headroom": 1.5}, 2, 20.0, "v2 carries at most 20 checks/s, 2 pods of 10 by the namespace's quota; "
        "needed are 30 (1.5 times the 20 that come)",
    ),
    "nobody says what comes": ({}, 2, None, "the gateways do not say how many checks come to them"),
}  # fmt: skip


@pytest.mark.parametrize(("gate", "most", "demand", "words"), CAPACITY.values(), ids=CAPACITY)
def test_capacity_waits_until_it_suffices(
    gate: Json, most: int | None, demand: float | None, words: str
) -> None:
    """It says the figures, and goes on by itself when they have changed."""
    world = serving()
    world.versions["v2"] = Pods(most=most)
    world.demand = demand
    roll(world, {"capacity": gate})
    world.run(2_000)
    assert (world.status.phase, why(world)) == ("Paused", ("GateWaiting", f"gate capacity: {words}"))
    world.demand = 5.0
    world.settle()
    assert world.status.stable == "v2"


def test_capacity_that_nothing_limits_suffices() -> None:
    """Where no bound is known, the candidate gets as many pods as the demand asks for."""
    world = serving()
    world.demand = 200.0
    roll(world, {"capacity": {}})
    world.settle()
    assert world.status.stable == "v2"
