"""What holds whatever happens, and wherever the keeper is killed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.rollout.snapshot import Analysis, Override, Request
from simulated_rollout import World, serving, spec

STEPS = [{"setWeight": 1000}, {"analysis": {"template": "t"}}, {"setWeight": 5000}, {"pauseSeconds": 10}]
BOUNDS = [{"figure": "category/top1", "atLeast": 0.7}]
GATES = {
    "capacity": {"before": "Majority", "pods": 4},
    "goldenSet": {"folder": "pvc://golden", "bounds": BOUNDS},
}
AB = {"tenants": ["shop-a"], "headers": ["beta"], "analysis": {"template": "t"}}
STRATEGY = {"ab": AB, "canary": {"steps": STEPS}, "gates": GATES}


class Keeper(RuleBasedStateMachine):
    """Time passes, people change their minds, pods break, gateways lag, and the keeper is killed at any
    action.
    """

    world: World

    @initialize(warm=st.integers(0, 2), demand=st.one_of(st.none(), st.floats(0, 40)))
    def begin(self, warm: int, demand: float | None) -> None:
        self.warm = {"versions": warm}
        self.world = serving(warm=self.warm, strategy=STRATEGY)
        self.world.demand = demand

    @rule(seconds=st.integers(1, 60))
    def time(self, seconds: int) -> None:
        self.world.run(seconds)

    @rule(seconds=st.floats(0.1, 5), actions=st.integers(0, 4))
    def killed(self, seconds: float, actions: int) -> None:
        self.world.tick(seconds, crash_after=actions)

    @rule(version=st.sampled_from(["v1", "v2", "v3", "nowhere"]), paused=st.booleans())
    def change(self, version: str, paused: bool) -> None:
        self.world.spec = spec(version, warm=self.warm, strategy=STRATEGY, paused=paused)
        self.world.generation += 1

    @rule(demand=st.floats(0, 200))
    def load(self, demand: float) -> None:
        self.world.demand = demand

    @rule(version=st.sampled_from(["v1", "v2", "v3"]), broken=st.booleans())
    def pods(self, version: str, broken: bool) -> None:
        self.world.versions[version].broken = broken

    @rule(gateway=st.sampled_from(["gw-1", "gw-2"]), lag=st.floats(0, 60))
    def lag(self, gateway: str, lag: float) -> None:
        self.world.lag[gateway] = lag

    @rule(
        order=st.sampled_from(["Rollback", "Pin", "Freeze"]),
        version=st.sampled_from(["v1", "v2", "v3"]),
        seconds=st.integers(1, 300),
    )
    def override(self, order: str, version: str, seconds: int) -> None:
        said = {
            "target": "md", "order": order, "toVersion": None if order == "Freeze" else version,
            "reason": "r", "actor": "a", "expiresAt": self.world.now + seconds,
        }  # fmt: skip
        name = f"order-{len(self.world.overrides)}"
        self.world.overrides.append(Override(name, self.world.now, ModelOverrideSpec.model_validate(said)))

    @rule(verb=st.sampled_from(["promote", "promote-full", "abort", "retry"]), force=st.booleans())
    def request(self, verb: str, force: bool) -> None:
        self.world.request = Request(verb, f"{self.world.now}", force)  # type: ignore[arg-type]

    @precondition(lambda self: any(one.phase == "Running" for one in self.world.analyses.values()))
    @rule(phase=st.sampled_from(["Successful", "Failed", "Inconclusive", "Error"]))
    def judge(self, phase: str) -> None:
        for name, found in self.world.analyses.items():
            if found.phase == "Running":
                self.world.analyses[name] = Analysis(phase, "m")  # type: ignore[arg-type]

    @precondition(lambda self: any(not one.over for one in self.world.gate_jobs.values()))
    @rule(phase=st.sampled_from(["Passed", "Failed", "Inconclusive"]))
    def gate(self, phase: str) -> None:
        for name, job in self.world.gate_jobs.items():
            if not job.over:
                told = replace(job, phase=phase, message="m", over=phase != "Inconclusive")  # type: ignore[arg-type]
                self.world.gate_jobs[name] = told

    @invariant()
    def nobody_is_hurt(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    @invariant()
    def a_gate_holds(self) -> None:
        """What is on its way has traffic only where its golden set was passed, or somebody insisted."""
        status = self.world.status if hasattr(self, "world") else None
        if status is None or status.candidate is None:
            return
        fixed = any(pin.version == status.candidate for pin in self.world.route.audience)
        if not status.candidate_weight and not fixed:
            return
        if self.world.overrides or status.candidate in {entry.version for entry in status.history}:
            return  # an order, or a version that had traffic before, left it with a share
        proof = self.world.versions[status.candidate].proofs.get("goldenSet")
        assert "goldenSet" in status.waived or (proof is not None and proof.passed)

    def teardown(self) -> None:
        """Left alone, with everything in order, it comes to rest: one version has all the traffic."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.demand, world.overrides, world.analyses = 20.0, [], {}
        world.lag = {"gw-1": 0.5, "gw-2": 0.5}
        for pods in world.versions.values():
            pods.broken = False
        world.spec = spec(world.status.stable or "v1", warm=self.warm)
        world.request = None
        world.settle()
        assert dict(world.route.weights) == {world.status.stable: 10_000}
        assert not world.route.audience


TestKeeper = Keeper.TestCase
TestKeeper.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
