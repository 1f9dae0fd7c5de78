"""The simulated cluster, which knows after each step whether anybody was hurt."""

from __future__ import annotations

from collections.abc import Mapping

from ostiary_operator.resources.model_deployment import ModelDeploymentSpec
from ostiary_operator.rollout.actions import Action, Plan, WriteRoute
from ostiary_operator.rollout.simulation import Pods
from ostiary_operator.rollout.simulation import World as SimulatedWorld

LOAD_SECONDS = Pods().load_seconds


class World(SimulatedWorld):
    """Raises AssertionError where a plan would do harm."""

    def tick(self, seconds: float = 1.0, crash_after: int | None = None) -> Plan:
        plan = super().tick(seconds, crash_after)
        self.check()
        return plan

    def carry_out(self, action: Action) -> None:
        if isinstance(action, WriteRoute):
            assert action.epoch == self.route.epoch + 1
            before, snapshot = self.route.weights, self.snapshot()
            for version, share in action.weights.items():
                within = share <= max(before.get(version, 0), snapshot.carries(version))
                assert within or not before, f"{version} gets more than its pods can carry"
        super().carry_out(action)

    def check(self) -> None:
        """What has to hold whatever happens."""
        weights = self.route.weights
        assert not weights or sum(weights.values()) == 10_000, weights
        assert all(0 < share <= 10_000 for share in weights.values())
        for gateway in self.lag:
            applied = self.applied(gateway)
            for version in {*applied.weights, *(pin.version for pin in applied.audience)}:
                assert self.versions[version].born, f"{gateway} still sends to {version}, which has no pods"

    def settle(self, seconds: float = 600.0) -> None:
        """Until all traffic is with one version and every gateway knows."""
        for _ in range(round(seconds)):
            self.tick()
            if self.status.phase in ("Healthy", "Degraded") and self.snapshot().converged:
                return
        raise AssertionError(f"{self.status.phase} {self.route.weights}")


def spec(version: str = "v1", **changes: object) -> ModelDeploymentSpec:
    """Three pods, a canary of two steps, in the terms that YAML has."""
    steps = [{"setWeight": 1000}, {"pauseSeconds": 20}, {"setWeight": 5000}, {"pauseSeconds": 20}]
    described: Mapping[str, object] = {
        "model": "qwen",
        "versionRef": {"name": version},
        "replicas": 3,
        "strategy": {"canary": {"steps": steps}},
        **changes,
    }
    return ModelDeploymentSpec.model_validate(described)


def serving(**changes: object) -> World:
    """A world where v1 has served for a while, and v2 and v3 are there to be rolled."""
    world = World(spec(**changes), versions={"v1": Pods(), "v2": Pods(), "v3": Pods()})
    world.settle()
    return world
