"""What the keeper does as a version follows another, told as stories on a virtual clock."""

from __future__ import annotations

import copy

import pytest

from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.rollout.actions import WriteRoute
from ostiary_operator.rollout.simulation import Pods
from ostiary_operator.rollout.snapshot import Analysis, Override, Request
from simulated_rollout import LOAD_SECONDS, World, serving, spec


def order(world: World, kind: str = "Rollback", to: str | None = None, seconds: float = 600.0) -> Override:
    """An SRE's override, as of now."""
    said = ModelOverrideSpec.model_validate(
        {
            "target": "md", "order": kind, "toVersion": to, "reason": "flags nothing", "actor": "ann",
            "expiresAt": world.now + seconds,
        }
    )  # fmt: skip
    override = Override(f"order-{len(world.overrides)}", world.now, said)
    world.overrides.append(override)
    return override


def roll(world: World, version: str = "v2", **changes: object) -> None:
    """The spec names another version."""
    world.spec = spec(version, **changes)
    world.generation += 1


def holds(world: World, condition: str) -> str:
    return next(one.status for one in world.status.conditions if one.type == condition)


def test_the_first_version_gets_everything_once_a_pod_is_ready() -> None:
    """There is nothing to compare it with, so the steps are for the next one."""
    world = serving()
    assert dict(world.route.weights) == {"v1": 10_000}
    assert (world.status.phase, world.status.stable) == ("Healthy", "v1")
    assert holds(world, "Available") == "True"
    assert len(world.versions["v1"].born) == 3


def test_a_rollout_takes_its_steps_and_keeps_the_old_version_warm() -> None:
    """10%, a pause, 50%, a pause, all of it; afterwards a rollback would take seconds."""
    world = serving()
    roll(world)
    shares = []
    for _ in range(300):
        world.tick()
        shares.append(world.route.weights.get("v2", 0))
    assert sorted(set(shares)) == [0, 1000, 5000, 10_000]
    assert shares == sorted(shares)
    assert (world.status.stable, world.status.candidate, world.status.phase) == ("v2", None, "Healthy")
    assert len(world.versions["v1"].born) == 3
    assert world.status.rollback_ready is not None
    assert (world.status.rollback_ready.version, world.status.rollback_ready.eta_seconds) == ("v1", 2.0)
    assert holds(world, "RollbackReady") == "True"
    assert [event.reason for event in world.events].count("RolloutStarted") == 1


@pytest.mark.parametrize("actions", range(5))
def test_whoever_takes_over_goes_on_and_not_back(actions: int) -> None:
    """Killed after any action of a look that moves traffic: the candidate's share never falls. One pod
    is enough for every share, so that the next share follows the one before at once.
    """
    world = serving(replicas=1)
    roll(world, replicas=1, strategy={"canary": {"steps": [{"setWeight": 1000}, {"setWeight": 5000}]}})
    shares, killed_at = [], -1
    for _ in range(100):
        planned = copy.deepcopy(world).tick().actions
        epoch = world.route.epoch
        killed = epoch != killed_at and any(isinstance(action, WriteRoute) for action in planned)
        killed_at = epoch if killed else killed_at
        world.tick(crash_after=actions if killed else None)
        shares.append(world.route.weights.get("v2", 0))
    assert list(dict.fromkeys(shares)) == [0, 1000, 5000, 10_000]
    assert shares == sorted(shares)


@pytest.mark.parametrize("ordered", [True, False], ids=["while the order holds", "after it"])
def test_a_version_that_was_taken_back_and_is_named_again(ordered: bool) -> None:
    """By an order; then the spec names the version before, and later, perhaps mended, the other one again.
    Until it is named again it is nothing to go back to.
    """
    world = serving()
    roll(world)
    world.settle()
    order(world, to="v1")
    world.run(5)
    assert (world.status.stable, world.status.rejected) == ("v1", "v2")
    if not ordered:
        world.overrides.clear()
        world.run(5)
    roll(world, "v1")
    world.run(5)
    world.overrides.clear()
    world.settle()
    assert (world.status.phase, world.status.rejected) == ("Healthy", "v2")
    assert holds(world, "RollbackReady") == "False"
    roll(world, "v2")
    world.run(300)
    assert (world.status.stable, world.status.phase) == ("v2", "Healthy")


def test_an_abort_that_comes_with_the_name_holds() -> None:
    """Named again, and aborted before the keeper has looked: it stays where it is."""
    world = serving()
    roll(world)
    world.run(3)
    world.request = Request("abort", "1", version="v2")
    world.run(3)
    assert world.status.rejected == "v2"
    roll(world, "v1")
    world.run(3)
    roll(world, "v2")
    world.request = Request("abort", "2", version="v2")
    world.run(60)
    assert (world.status.rejected, world.status.candidate) == ("v2", None)
    assert dict(world.route.weights) == {"v1": 10_000}


def test_no_share_is_given_before_the_pods_for_it_are_ready() -> None:
    """A candidate gets what its ready pods carry, and no more."""
    world = serving()
    roll(world)
    for _ in range(200):
        plan = world.tick()
        carried = world.snapshot().carries("v2")
        assert plan.status.weights.desired.get("v2", 0) <= max(carried, 0)


@pytest.mark.parametrize(
    "analysed", [Analysis("Failed", "flags nothing"), None], ids=["failed analysis", "abort by hand"]
)
def test_an_aborted_candidate_gives_everything_back(analysed: Analysis | None) -> None:
    """And is not tried again before the spec names another version, or somebody retries."""
    world = serving()
    roll(world, strategy={"canary": {"steps": [{"setWeight": 2000}, {"analysis": {"template": "t"}}]}})
    while not world.started:
        world.tick()
    if analysed is None:
        world.request = Request("abort", "1")
    else:
        world.analyses[world.started[0].name] = analysed
    world.settle()
    assert (world.status.phase, world.status.rejected, world.status.stable) == ("Degraded", "v2", "v1")
    assert dict(world.route.weights) == {"v1": 10_000}
    assert not world.versions["v2"].born
    world.run(100)
    assert dict(world.route.weights) == {"v1": 10_000}
    world.request = Request("retry", "2")
    world.run(60)
    assert world.route.weights.get("v2") == 2000


@pytest.mark.parametrize("phase", ["Inconclusive", "Error"])
def test_what_proves_nothing_pauses(phase: str) -> None:
    """No measurement is not a bad measurement, and no good one either: people decide."""
    world = serving()
    steps = [{"setWeight": 2000}, {"analysis": {"template": "t"}}]
    roll(world, strategy={"canary": {"steps": steps}})
    while not world.started:
        world.tick()
    world.analyses[world.started[0].name] = Analysis(phase, "Prometheus cannot be reached")  # type: ignore[arg-type]
    world.run(2_000)
    assert (world.status.phase, world.route.weights.get("v2")) == ("Paused", 2000)
    world.request = Request("promote", "1")
    world.settle()
    assert world.status.stable == "v2"


def test_a_candidate_that_never_gets_ready_is_given_up() -> None:
    """Nobody was sent to it, and nobody notices."""
    world = serving()
    world.versions["v2"].broken = True
    roll(world, progressDeadlineSeconds=90)
    world.run(85)
    assert world.status.phase == "Progressing"
    world.run(30)
    assert (world.status.rejected, world.status.phase) == ("v2", "Degraded")
    assert all("v2" not in route.weights for _, route in world.routes)


def test_a_candidate_whose_pods_die_is_given_up_at_once() -> None:
    """Its share goes back to the version that has pods for everything."""
    world = serving()
    roll(world)
    while world.route.weights.get("v2") != 5000:
        world.tick()
    world.versions["v2"].broken = True
    world.run(2)
    assert dict(world.route.weights) == {"v1": 10_000}


def test_a_rollback_by_hand_takes_seconds_and_survives_what_the_spec_says() -> None:
    """The spec goes on naming the version that was left; after the order has ended, too."""
    world = serving()
    roll(world)
    world.settle()
    world.run(700)
    order(world)
    asked = world.now
    while dict(world.applied("gw-2").weights) != {"v1": 10_000}:
        world.tick(0.5)
    assert world.now - asked <= 2.0
    assert world.status.phase == "Overridden"
    world.run(1_000)
    assert world.status.phase == "Degraded"
    assert (world.status.stable, world.status.rejected) == ("v1", "v2")
    assert dict(world.route.weights) == {"v1": 10_000}
    roll(world, "v3")
    world.settle()
    assert world.status.stable == "v3"


def test_a_rollback_to_a_cold_version_ramps_as_its_pods_get_ready() -> None:
    """It never gets more than it can carry; the version that serves goes on serving the rest."""
    world = serving(warm={"versions": 1, "mode": "Reduced", "replicas": 1})
    roll(world, warm={"versions": 1, "mode": "Reduced", "replicas": 1})
    world.settle()
    world.run(20)
    assert len(world.versions["v1"].born) == 1
    assert holds(world, "RollbackReady") == "False"
    order(world)
    world.tick()
    assert dict(world.route.weights) == {"v1": 5000, "v2": 5000}
    world.run(LOAD_SECONDS + 2)
    assert dict(world.route.weights) == {"v1": 10_000}


def test_an_order_in_the_middle_of_a_roll_goes_one_version_back() -> None:
    """From a candidate to the stable version, and for as long as the order is there no further: not to the
    version before that one, though that is warm.
    """
    world = serving(warm={"versions": 2})
    roll(world, warm={"versions": 2})
    world.settle()
    assert world.status.stable == "v2"
    roll(world, "v3", warm={"versions": 2})
    while not world.route.weights.get("v3"):
        world.tick()
    order(world)
    world.run(120)
    assert dict(world.route.weights) == {"v2": 10_000}
    assert (world.status.phase, world.status.stable, world.status.rejected) == ("Overridden", "v2", "v3")
    assert world.status.history[-1].why == "override order-0: flags nothing"
    world.overrides.clear()
    world.run(30)
    assert dict(world.route.weights) == {"v2": 10_000}


def test_an_order_in_the_middle_of_the_first_roll_holds() -> None:
    """There is nothing before the stable version: it is followed all the same, until it ends."""
    world = serving()
    roll(world)
    while not world.route.weights.get("v2"):
        world.tick()
    order(world)
    world.run(60)
    assert dict(world.route.weights) == {"v1": 10_000}
    assert (world.status.phase, world.status.rejected) == ("Overridden", "v2")


def test_a_freeze_keeps_everything_as_it_is() -> None:
    """No share, no pod and no step changes until the order has ended."""
    world = serving()
    roll(world)
    while world.route.weights.get("v2") != 1000:
        world.tick()
    order(world, "Freeze", seconds=300)
    epoch, pods = world.route.epoch, {name: len(one.born) for name, one in world.versions.items()}
    world.run(290)
    assert world.route.epoch == epoch
    assert {name: len(one.born) for name, one in world.versions.items()} == pods
    world.overrides.clear()
    world.settle()
    assert world.status.stable == "v2"


def test_nothing_is_scaled_down_before_every_live_gateway_has_let_go() -> None:
    """One gateway stopped looking: the old version's pods stay for it, and people see why."""
    world = serving(warm={"versions": 0})
    roll(world, warm={"versions": 0})
    world.request = Request("promote-full", "1", force=True)
    while world.route.weights.get("v2", 0) < 10_000:
        world.tick()
        if world.status.candidate:
            world.request = Request("promote-full", "2", force=True)
    world.lag["gw-1"] = 10_000.0
    world.run(100)
    assert len(world.versions["v1"].born) == 3
    assert holds(world, "RouteConverged") == "False"
    world.lag["gw-1"] = 0.0
    world.settle()
    world.run(5)
    assert not world.versions["v1"].born


def test_promoting_is_refused_where_it_would_destroy_the_way_back() -> None:
    """Unless somebody insists."""
    world = serving()
    roll(world, warm={"versions": 0})
    world.run(300)
    assert world.status.phase == "Paused"
    assert "rollback" in next(one.message for one in world.status.conditions if one.type == "Paused")
    world.request = Request("promote-full", "1", force=True)
    world.settle()
    assert world.status.stable == "v2"


def test_a_version_that_fails_after_its_promotion_is_taken_back() -> None:
    """While the one before is warm: within seconds, and without anybody."""
    watch = {"seconds": 600, "analysis": {"template": "after"}}
    world = serving()
    roll(world, postPromotion=watch)
    while world.status.stable != "v2":
        world.tick()
    world.run(3)
    assert [(one.candidate, one.baseline) for one in world.started] == [("v2", "v1")]
    world.analyses["md-v2-1-after"] = Analysis("Failed", "flags nothing any more")
    world.run(3)
    assert dict(world.route.weights) == {"v1": 10_000}
    assert (world.status.stable, world.status.rejected) == ("v1", "v2")


def test_a_shadow_gets_copies_and_no_traffic() -> None:
    """Its analysis decides whether there is a first step."""
    world = serving()
    shadow = {"share": 2000, "analysis": {"template": "flips"}}
    roll(world, strategy={"shadow": shadow, "canary": {"steps": [{"setWeight": 1000}]}})
    world.run(LOAD_SECONDS + 5)
    assert (dict(world.route.weights), dict(world.route.mirrors)) == ({"v1": 10_000}, {"v2": 2000})
    world.analyses["md-v2-1-shadow"] = Analysis("Successful")
    world.settle()
    assert (world.status.stable, dict(world.route.mirrors)) == ("v2", {})


def test_another_version_in_mid_rollout_starts_over() -> None:
    """The one that was on its way gives its share back to the stable one."""
    world = serving()
    roll(world, "v2")
    while world.route.weights.get("v2") != 5000:
        world.tick()
    roll(world, "v3")
    world.run(LOAD_SECONDS + 5)
    assert set(world.route.weights) == {"v1", "v3"}
    assert not world.versions["v2"].born


def test_a_spec_that_goes_back_is_an_abort_without_blame() -> None:
    """The version is not rejected: nobody said that it was bad."""
    world = serving()
    roll(world, "v2")
    while world.route.weights.get("v2") != 1000:
        world.tick()
    roll(world, "v1")
    world.settle()
    assert (world.status.phase, world.status.rejected) == ("Healthy", None)


def test_a_pause_in_the_spec_holds_the_rollout_where_it_is() -> None:
    """Not even its deadline passes."""
    world = serving()
    roll(world)
    while world.route.weights.get("v2") != 1000:
        world.tick()
    roll(world, paused=True)
    world.run(5_000)
    assert (world.status.phase, world.route.weights["v2"]) == ("Paused", 1000)
    roll(world)
    world.settle()
    assert world.status.stable == "v2"


@pytest.mark.parametrize("stable", [True, False], ids=["while one serves", "at the start"])
def test_an_unknown_version_is_a_condition(stable: bool) -> None:
    """What serves goes on serving."""
    world = serving() if stable else World(spec(), versions={"v1": Pods()})
    roll(world, "nowhere")
    world.run(30)
    progressing = next(one for one in world.status.conditions if one.type == "Progressing")
    assert (world.status.phase, progressing.reason) == ("Degraded", "UnknownVersion")
    assert "nowhere" in progressing.message
    assert dict(world.route.weights) == ({"v1": 10_000} if stable else {})


def test_without_gateways_nothing_moves() -> None:
    """Nobody has said that the route is applied, so no step is done and no pod goes."""
    world = serving()
    roll(world)
    world.lag.clear()
    world.run(300)
    assert world.route.weights.get("v2", 0) <= 1000
    assert holds(world, "RouteConverged") == "False"
