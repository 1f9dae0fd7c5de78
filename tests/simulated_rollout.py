"""A small cluster on a virtual clock: pods that take a while, gateways that take a while, nothing else.

It does what plans say, all of it or, as a crash would have it, only the first part, and knows after each step
whether anybody was hurt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.rollout.actions import Announce, Plan, Scale, StartAnalysis, StopAnalysis, WriteRoute
from ostiary_operator.rollout.reconcile import reconcile
from ostiary_operator.rollout.snapshot import Analysis, Gateway, Override, Request, Route, Snapshot, Version

LOAD_SECONDS = 30.0


@dataclass
class Pods:
    """Of one version. `born`: when each was asked for; one is ready LOAD_SECONDS later."""

    checks_per_second: float = 10.0
    born: list[float] = field(default_factory=list)
    broken: bool = False

    def ready(self, now: float) -> int:
        return 0 if self.broken else sum(now - born >= LOAD_SECONDS for born in self.born)


@dataclass
class World:
    """`lag`: by gateway, how many seconds behind the route it is; `reached`: the epoch that it is at."""

    spec: ModelDeploymentSpec
    demand: float | None = 20.0
    lag: dict[str, float] = field(default_factory=lambda: {"gw-1": 0.5, "gw-2": 1.0})
    reached: dict[str, int] = field(default_factory=dict)
    now: float = 1_000.0
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    versions: dict[str, Pods] = field(default_factory=dict)
    routes: list[tuple[float, Route]] = field(default_factory=lambda: [(0.0, Route())])
    overrides: list[Override] = field(default_factory=list)
    analyses: dict[str, Analysis] = field(default_factory=dict)
    started: list[StartAnalysis] = field(default_factory=list)
    request: Request | None = None
    events: list[Announce] = field(default_factory=list)
    generation: int = 1

    @property
    def route(self) -> Route:
        return self.routes[-1][1]

    def applied(self, gateway: str) -> Route:
        """What a gateway routes by: it sees each route its lag after it was written, and never an older one
        after a newer one.
        """
        arrived = [one.epoch for at, one in self.routes if at + self.lag[gateway] <= self.now]
        self.reached[gateway] = max([self.reached.get(gateway, 0), *arrived])
        return self.routes[self.reached[gateway]][1]

    def snapshot(self) -> Snapshot:
        gateways = {name: Gateway(self.applied(name).epoch, self.now) for name in self.lag}
        versions = {
            name: Version(pods.checks_per_second, LOAD_SECONDS, len(pods.born), pods.ready(self.now))
            for name, pods in self.versions.items()
        }
        return Snapshot(
            now=self.now,
            name="md",
            generation=self.generation,
            spec=self.spec,
            status=self.status,
            versions=versions,
            route=self.route,
            gateways=gateways,
            demand=self.demand,
            overrides=tuple(self.overrides),
            analyses=dict(self.analyses),
            request=self.request,
        )

    def tick(self, seconds: float = 1.0, crash_after: int | None = None) -> Plan:
        """One look and what follows from it; `crash_after`: only so many actions, and no status written."""
        self.now += seconds
        plan = reconcile(self.snapshot())
        for action in plan.actions[:crash_after]:
            self._do(action)
        if crash_after is None:
            self.status = plan.status
        self.check()
        return plan

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.tick()

    def _do(self, action: object) -> None:
        match action:
            case Scale(version, replicas):
                born = self.versions[version].born
                born[replicas:] = []
                born.extend([self.now] * (replicas - len(born)))
            case WriteRoute(epoch, weights, mirrors):
                assert epoch == self.route.epoch + 1
                before, snapshot = self.route.weights, self.snapshot()
                for version, share in weights.items():
                    within = share <= max(before.get(version, 0), snapshot.carries(version))
                    assert within or not before, f"{version} gets more than its pods can carry"
                self.routes.append((self.now, Route(epoch, dict(weights), dict(mirrors))))
            case StartAnalysis():
                self.started.append(action)
                self.analyses.setdefault(action.name, Analysis("Running"))
            case StopAnalysis(name):
                del self.analyses[name]
            case Announce():
                self.events.append(action)

    def check(self) -> None:
        """What has to hold whatever happens."""
        weights = self.route.weights
        assert not weights or sum(weights.values()) == 10_000, weights
        assert all(0 < share <= 10_000 for share in weights.values())
        for gateway in self.lag:
            for version in self.applied(gateway).weights:
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
    """A world where v1 has served for a while, and v2 is there to be rolled."""
    world = World(spec(**changes), versions={"v1": Pods(), "v2": Pods(), "v3": Pods()})
    world.settle()
    return world
