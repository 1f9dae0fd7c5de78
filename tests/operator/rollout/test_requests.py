"""What people ask of a rollout, at every moment: it holds for what it names, or people are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from ostiary_operator.resources.conditions import Condition
from ostiary_operator.resources.model_deployment import Entry
from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.rollout.simulation import Pods
from ostiary_operator.rollout.snapshot import Override, Request
from simulated_rollout import World, serving, spec

STEPS = [{"setWeight": 1000}, {"pause": True}, {"setWeight": 5000}, {"pause": True}]
STRATEGY = {"canary": {"steps": STEPS}}


def roll(world: World, version: str, **changes: object) -> None:
    world.spec = spec(version, strategy=STRATEGY, **changes)
    world.generation += 1


def order(
    world: World, kind: str, to: str | None = None, name: str = "order", uid: str = "uid-1"
) -> Override:
    """A ModelOverride, as of now."""
    said = {
        "target": "md", "order": kind, "toVersion": to, "reason": "r", "actor": "ann",
        "expiresAt": world.now + 3_600,
    }  # fmt: skip
    made = Override(name, world.now, ModelOverrideSpec.model_validate(said), uid)
    world.overrides.append(made)
    return made


def said(world: World) -> Condition | None:
    """What the status says of the last request."""
    return next((one for one in world.status.conditions if one.type == "RequestFollowed"), None)


def not_begun() -> World:
    """The spec names v2, and the keeper has not looked since."""
    world = serving(strategy=STRATEGY)
    roll(world, "v2")
    return world


def waiting() -> World:
    """v2 has a tenth, and waits for somebody to promote."""
    world = not_begun()
    world.run(60)
    assert (world.status.step, world.status.phase) == (1, "Paused")
    return world


def overtaken() -> World:
    """The spec names v3, and the keeper has not looked since."""
    world = waiting()
    roll(world, "v3")
    return world


def further() -> World:
    """Somebody else has promoted v2 to the next pause."""
    world = waiting()
    world.request = Request("promote", "of somebody else")
    world.run(60)
    assert world.status.step == 3
    return world


def promoted() -> World:
    """v2 has become the version that serves."""
    world = waiting()
    world.request = Request("promote-full", "of somebody else")
    world.settle()
    assert world.status.stable == "v2"
    return world


def taken_back() -> World:
    """v2 was aborted by somebody else."""
    world = waiting()
    world.request = Request("abort", "of somebody else")
    world.settle()
    assert world.status.rejected == "v2"
    return world


def frozen() -> World:
    """Nothing moves until an order has ended."""
    world = waiting()
    order(world, "Freeze")
    world.run(5)
    return world


def ordered_back() -> World:
    """A rollback is in force."""
    world = waiting()
    order(world, "Rollback")
    world.run(30)
    assert world.status.phase == "Overridden"
    return world


def paused() -> World:
    """spec.paused holds it where it is."""
    world = waiting()
    roll(world, "v2", paused=True)
    world.run(5)
    return world


def first() -> World:
    """v2 is the first version, and nothing serves yet."""
    return World(spec("v2", strategy=STRATEGY), versions={"v1": Pods(), "v2": Pods(), "v3": Pods()})


def unknown() -> World:
    """The spec names v2, and there is no such ModelVersion yet."""
    world = not_begun()
    del world.versions["v2"]
    world.run(5)
    return world


MOMENTS: Mapping[str, Callable[[], World]] = {
    "not begun": not_begun, "waiting": waiting, "overtaken": overtaken, "further": further,
    "promoted": promoted, "taken back": taken_back, "frozen": frozen, "ordered back": ordered_back,
    "paused": paused, "first": first, "unknown": unknown,
}  # fmt: skip
REQUESTS: Mapping[str, Request] = {
    "abort": Request("abort", "1", version="v2"),
    "promote": Request("promote", "1", version="v2", stage="step 2"),
    "promote-full": Request("promote-full", "1", version="v2"),
    "retry": Request("retry", "1", version="v2"),
}
EXPECTED: Mapping[str, Mapping[str, tuple[str, str | None, str | None, str | None]]] = {
    # What the condition says at once; and, when the order has ended and time has passed, the version that
    # serves, the one on its way, and the one that was taken back.
    "abort": {
        "not begun": ("Followed", "v1", None, "v2"),
        "waiting": ("Followed", "v1", None, "v2"),
        "overtaken": ("Followed", "v1", "v3", None),
        "further": ("Followed", "v1", None, "v2"),
        "promoted": ("Refused", "v2", None, None),
        "taken back": ("Followed", "v1", None, "v2"),
        "frozen": ("Frozen", "v1", None, "v2"),
        "ordered back": ("Followed", "v1", None, "v2"),
        "paused": ("Followed", "v1", None, "v2"),
        "first": ("Refused", "v2", None, None),
        "unknown": ("Followed", "v1", None, "v2"),
    },
    "promote": {
        "not begun": ("Refused", "v1", "v2", None),
        "waiting": ("Followed", "v1", "v2", None),
        "overtaken": ("Refused", "v1", "v3", None),
        "further": ("Refused", "v1", "v2", None),
        "promoted": ("Refused", "v2", None, None),
        "taken back": ("Refused", "v1", None, "v2"),
        "frozen": ("Frozen", "v1", "v2", None),
        "ordered back": ("Refused", "v1", None, "v2"),
        "paused": ("Followed", "v1", "v2", None),
        "first": ("Refused", "v2", None, None),
        "unknown": ("Refused", "v1", "v2", None),
    },
    "promote-full": {
        "not begun": ("Followed", "v2", None, None),
        "waiting": ("Followed", "v2", None, None),
        "overtaken": ("Refused", "v1", "v3", None),
        "further": ("Followed", "v2", None, None),
        "promoted": ("Refused", "v2", None, None),
        "taken back": ("Refused", "v1", None, "v2"),
        "frozen": ("Frozen", "v2", None, None),
        "ordered back": ("Refused", "v1", None, "v2"),
        "paused": ("Followed", "v1", "v2", None),
        "first": ("Refused", "v2", None, None),
        "unknown": ("Refused", "v1", "v2", None),
    },
    "retry": {
        "not begun": ("Refused", "v1", "v2", None),
        "waiting": ("Refused", "v1", "v2", None),
        "overtaken": ("Refused", "v1", "v3", None),
        "further": ("Refused", "v1", "v2", None),
        "promoted": ("Refused", "v2", None, None),
        "taken back": ("Followed", "v1", "v2", None),
        "frozen": ("Frozen", "v1", "v2", None),
        "ordered back": ("Followed", "v1", "v2", None),
        "paused": ("Refused", "v1", "v2", None),
        "first": ("Refused", "v2", None, None),
        "unknown": ("Refused", "v1", "v2", None),
    },
}  # fmt: skip
CASES = [(verb, moment) for verb in EXPECTED for moment in MOMENTS]


@pytest.mark.parametrize(("verb", "moment"), CASES, ids=[f"{verb}, {moment}" for verb, moment in CASES])
def test_a_request_holds_for_what_it_names(verb: str, moment: str) -> None:
    """Whenever it comes; what is not done is told by the condition and one Event, and nothing is lost."""
    world = MOMENTS[moment]()
    world.request, events = REQUESTS[verb], len(world.events)
    reason, *fate = EXPECTED[verb][moment]
    world.tick(crash_after=1)
    world.tick()
    condition = said(world)
    assert condition is not None
    assert condition.reason == reason, condition.message
    assert condition.message.startswith(f"{verb} of v2 (1) is ")
    world.run(5)
    told = {one.message for one in world.events[events:] if one.reason in ("RequestRefused", "RequestKept")}
    assert told == ({condition.message} if reason != "Followed" else set())
    world.overrides.clear()
    world.versions.setdefault("v2", Pods())
    world.run(120)
    assert [world.status.stable, world.status.candidate, world.status.rejected] == fate


def test_a_request_that_names_nothing_is_about_what_the_spec_names() -> None:
    """By hand people write a verb and an id: an abort just after the spec has changed is not lost."""
    world = not_begun()
    world.request = Request("abort", "1")
    world.settle()
    assert (world.status.phase, world.status.rejected) == ("Degraded", "v2")
    assert not world.versions["v2"].born
    assert [one.reason for one in world.events].count("RolloutAborted") == 1


def test_a_request_of_an_object_that_is_gone_is_refused() -> None:
    """A backup brings the annotation back: it does not promote what is new."""
    world = waiting()
    world.request = Request("promote-full", "1", of="another uid")
    world.run(30)
    condition = said(world)
    assert condition is not None
    assert "of this name that is gone" in condition.message
    assert world.route.weights["v2"] == 1_000


def test_a_pause_holds_whatever_comes_before_it() -> None:
    """It is a state and no event: it holds a candidate that has not begun at its beginning."""
    world = serving(strategy=STRATEGY)
    roll(world, "v2", paused=True)
    world.run(60)
    assert (world.status.candidate, world.status.phase) == ("v2", "Paused")
    assert world.route.weights == {"v1": 10_000}


ROLLBACKS: Mapping[str, tuple[str, str]] = {
    # Where an order without a version leads, and what is not tried again afterwards.
    "waiting": ("v1", "v2"),
    "overtaken": ("v1", "v2"),
    "further": ("v1", "v2"),
    "promoted": ("v1", "v2"),
    "paused": ("v1", "v2"),
}


@pytest.mark.parametrize("moment", ROLLBACKS)
def test_a_rollback_leaves_what_serves_or_is_on_its_way(moment: str) -> None:
    """One version back from what has traffic, and no further while the order is there."""
    world, (to, rejected) = MOMENTS[moment](), ROLLBACKS[moment]
    order(world, "Rollback")
    world.run(60)
    assert dict(world.route.weights) == {to: 10_000}
    assert world.status.rejected == rejected


def test_an_order_made_anew_under_the_same_name_is_another_order() -> None:
    """Deleted and made again within one look: it goes one version further back, as any second order does."""
    world = serving(warm={"versions": 2})
    for version in ("v2", "v3"):
        world.spec = spec(version, warm={"versions": 2})
        world.settle()
    order(world, "Rollback")
    world.run(30)
    assert dict(world.route.weights) == {"v2": 10_000}
    assert world.status.history[-1].order == "uid-1"
    world.overrides.clear()
    order(world, "Rollback", uid="uid-2")
    world.run(30)
    assert dict(world.route.weights) == {"v1": 10_000}
    world.run(300)
    assert dict(world.route.weights) == {"v1": 10_000}


def test_a_history_from_before_orders_were_told_apart_is_understood() -> None:
    """There an order is known by its name: one that is being followed goes on, and no further back."""
    world = waiting()
    order(world, "Rollback")
    world.run(30)
    *before, last = world.status.history
    old = Entry.model_validate({"version": last.version, "at": last.at, "why": last.why})
    assert old.order is None
    world.status = world.status.model_copy(update={"history": (*before, old)})
    world.run(60)
    assert (world.status.phase, dict(world.route.weights)) == ("Overridden", {"v1": 10_000})


def test_an_abort_outlives_the_order_that_came_with_it() -> None:
    """The order leaves v1, which the spec does not name; v2 must not begin when it has ended."""
    world = serving(strategy=STRATEGY)
    world.spec = spec("v3", strategy=STRATEGY)
    world.request = Request("promote-full", "0")
    world.settle()
    assert world.status.stable == "v3"
    roll(world, "v2")
    world.request = Request("abort", "1", version="v2")
    order(world, "Rollback", "v1")
    world.run(30)
    assert dict(world.route.weights) == {"v1": 10_000}
    world.overrides.clear()
    world.run(120)
    assert (world.status.stable, world.status.candidate, world.status.rejected) == ("v1", None, "v2")


def test_a_request_is_told_once() -> None:
    """And the next one has its own word."""
    world = waiting()
    world.request = Request("retry", "1", version="v2")
    world.run(20)
    world.request = replace(world.request, id="2")
    world.run(20)
    refused = [one.message for one in world.events if one.reason == "RequestRefused"]
    assert [message.partition(")")[0] for message in refused] == ["retry of v2 (1", "retry of v2 (2"]
