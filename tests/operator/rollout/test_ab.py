"""A/B: some callers get the candidate, all others do not, and both are compared; on a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ostiary_operator.resources.model_deployment import AB
from ostiary_operator.rollout.arms import arms
from ostiary_operator.rollout.snapshot import Analysis, Pin, Request
from simulated_rollout import LOAD_SECONDS, World, serving, spec

Json = dict[str, Any]
STEPS = [{"setWeight": 5000}]
ASKED: Json = {"tenants": ["shop-a"], "headers": ["beta"], "analysis": {"template": "ab"}}
PINS = frozenset([Pin("shop-a", "", "v2"), Pin("", "beta", "v2")])


def rolled(ab: Json = ASKED, **strategy: object) -> World:
    """v1 serves, and v2 is to be compared with it."""
    world = serving()
    world.spec = spec("v2", strategy={"canary": {"steps": STEPS}, "ab": ab, **strategy})
    world.generation += 1
    world.run(LOAD_SECONDS + 5)
    return world


def judge(world: World, phase: str) -> None:
    """What the analysis comes to."""
    (run,) = world.started
    world.analyses[run.name] = Analysis(phase)  # type: ignore[arg-type]


def test_some_callers_get_the_candidate_and_nobody_else() -> None:
    """They are fixed to it when it has pods for their share; the weights are as they were; and the analysis
    holds the two versions against one another.
    """
    world = rolled()
    assert world.route.audience == PINS
    assert dict(world.route.weights) == {"v1": 10_000}
    assert (world.started[0].template, world.started[0].candidate, world.started[0].baseline) == (
        "ab", "v2", "v1",
    )  # fmt: skip


def test_nobody_is_sent_to_pods_that_load() -> None:
    """Nor is anything compared before every gateway sends them there."""
    world = serving()
    world.lag["gw-2"] = 30.0
    world.spec = spec("v2", strategy={"ab": ASKED})
    world.generation += 1
    world.run(LOAD_SECONDS - 5)
    assert not world.route.audience
    world.run(15)
    assert world.route.audience == PINS
    assert not world.started
    world.run(30)
    assert world.started


@pytest.mark.parametrize(
    ("phase", "field"), [("Successful", "stable"), ("Failed", "rejected")], ids=["better", "worse"]
)
def test_the_analysis_decides(phase: str, field: str) -> None:
    """On to the steps and to all traffic, or back; nobody stays fixed to it either way."""
    world = rolled()
    judge(world, phase)
    world.settle()
    assert getattr(world.status, field) == "v2"
    assert not world.route.audience
    assert not world.status.comparing


def test_what_proves_nothing_is_for_people() -> None:
    """It stays as it is until somebody promotes, who then gets the steps."""
    world = rolled()
    judge(world, "Inconclusive")
    world.run(2_000)
    assert (world.status.phase, world.route.audience) == ("Paused", PINS)
    world.request = Request("promote", "1")
    world.run(60)
    assert world.route.weights.get("v2", 0) >= 5_000
    assert not world.route.audience


def test_without_an_analysis_it_lasts_its_time() -> None:
    """From when the version begins, as copies do."""
    world = rolled({"tenants": ["shop-a"], "seconds": 300})
    world.run(200)
    assert world.route.audience
    world.settle()
    assert world.status.stable == "v2"


ENDS = {
    "aborted": lambda world: setattr(world, "request", Request("abort", "1")),
    "without pods": lambda world: setattr(world.versions["v2"], "broken", True),
    "by another spec": lambda world: setattr(world, "spec", spec("v1")),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_callers_go_back_before_pods_do(end: Any) -> None:
    """Whatever ends it: the route no longer fixes them, every gateway says so, and only then do pods go."""
    world = rolled()
    end(world)
    world.generation += 1
    while world.route.audience:
        world.tick()
        assert world.versions["v2"].born
    while any(world.applied(gateway).audience for gateway in world.lag):
        assert world.versions["v2"].born
        world.tick()
    world.settle()
    world.run(60)
    assert world.status.stable == "v1"
    assert not world.versions["v2"].born


def test_a_pause_leaves_callers_where_they_are() -> None:
    """Paused is not undone."""
    world = rolled()
    world.spec = world.spec.model_copy(update={"paused": True})
    world.run(30)
    assert (world.status.phase, world.route.audience) == ("Paused", PINS)


def test_a_gate_comes_first() -> None:
    """Callers are traffic."""
    world = rolled(gates={"goldenSet": {"folder": "pvc://g", "bounds": [{"figure": "a/b", "atLeast": 0.7}]}})
    world.run(300)
    assert not world.route.audience
    assert world.status.gate == "goldenSet"


def test_callers_are_not_sent_to_and_fro_by_a_gate() -> None:
    """What they had passed stays passed, though more comes meanwhile than the candidate could carry alone."""
    world = rolled(gates={"capacity": {"pods": 4}})
    assert world.route.audience == PINS
    world.demand = 1_000.0
    world.run(60)
    assert (world.route.audience, world.status.gate) == (PINS, None)


def test_a_control_that_is_named_is_told_apart() -> None:
    """It is fixed to the version that serves, both arms are marked, and only they are compared."""
    control = {"tenants": ["shop-b"], "headers": ["steady"]}
    world = rolled({**ASKED, "control": control})
    assert world.route.audience == {
        Pin("shop-a", "", "v2", "candidate"), Pin("", "beta", "v2", "candidate"),
        Pin("shop-b", "", "v1", "control"), Pin("", "steady", "v1", "control"),
    }  # fmt: skip
    assert dict(world.route.weights) == {"v1": 10_000}
    assert world.started[0].arms
    progressing = next(one for one in world.status.conditions if one.type == "Progressing")
    assert progressing.message == (
        "v2 gets the checks of tenant shop-a, version pin beta, beside those of tenant shop-b, version pin "
        "steady"
    )
    judge(world, "Successful")
    world.settle()
    assert world.status.stable == "v2"
    assert not world.route.audience


def test_without_a_control_all_others_are_compared_with() -> None:
    """And nothing is marked, which gateways of before would not understand."""
    world = rolled()
    assert {pin.arm for pin in world.route.audience} == {""}
    assert not world.started[0].arms


SHOPS = [f"shop-{number}" for number in range(20)]


@pytest.mark.parametrize(("split", "control"), [(1, 1), (2_500, 6), (5_000, 11), (9_999, 21)])
def test_callers_are_split_by_a_hash(split: int, control: int) -> None:
    """Each is in one arm, of which each has some; and stays there, whatever the order that the spec has."""
    ab = AB.model_validate({"tenants": SHOPS, "headers": ["x", "y"], "control": {"split": split}})
    turned = AB.model_validate({"tenants": SHOPS[::-1], "headers": ["y", "x"], "control": {"split": split}})
    for asked in (ab, turned):
        own, other = arms(asked, "qwen", "v2")
        assert other is not None
        assert {*own.tenants} | {*other.tenants} == {*SHOPS}
        assert {*own.headers} | {*other.headers} == {"x", "y"}
        counts = [len(one.tenants) + len(one.headers) for one in (own, other)]
        assert counts == [22 - control, control]
        assert {*other.tenants} == {*(arms(ab, "qwen", "v2")[1] or own).tenants}


def test_the_next_version_is_tried_on_others() -> None:
    """Not always on the same callers."""
    ab = AB.model_validate({"tenants": SHOPS, "control": {"split": 5_000}})
    drawn = {arms(ab, "qwen", f"v{number}")[0].tenants for number in range(5)}
    assert len(drawn) == 5


@pytest.mark.parametrize(
    ("ab", "words"),
    [
        ({}, "give tenants, headers or both"),
        ({"tenants": ["a", "a"]}, "a stands there twice"),
        ({"headers": [""]}, "at least 1 character"),
        ({"tenants": ["a"], "share": 0}, "greater than or equal to 1"),
        ({"tenants": ["a"], "control": {}}, "give either split, or tenants and headers"),
        ({"tenants": ["a", "b"], "control": {"split": 1, "tenants": ["c"]}}, "give either split, or"),
        ({"tenants": ["a"], "control": {"split": 5000}}, "control.split needs two callers or more"),
        ({"tenants": ["a"], "control": {"tenants": ["a"]}}, "a cannot be on both sides"),
    ],
    ids=["nobody", "twice", "empty", "no share", "no control", "two controls", "one caller", "both sides"],
)
def test_bad_input(ab: Json, words: str) -> None:
    """Refused with the field."""
    with pytest.raises(ValidationError, match=words):
        AB.model_validate(ab)
