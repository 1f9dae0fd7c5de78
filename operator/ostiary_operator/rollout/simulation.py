"""A small cluster on a virtual clock: pods that take a while to load, gateways that take a while to follow
the route, and nothing else. It carries out what plans say.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ostiary_operator.resources.gates import JobGateName
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.rollout.actions import (
    Action,
    Announce,
    Plan,
    Remember,
    Scale,
    StartAnalysis,
    StartGate,
    StopAnalysis,
    StopGate,
    Verify,
    WriteRoute,
)
from ostiary_operator.rollout.reconcile import reconcile
from ostiary_operator.rollout.snapshot import (
    Analysis,
    GateJob,
    Gateway,
    Override,
    Proof,
    Request,
    Route,
    Snapshot,
    Version,
)


@dataclass
class Pods:
    """Of one version. `born`: when each was asked for; it is ready `load_seconds` later, unless `broken`.
    `most`: that quotas have room for. `proofs`: by gate.
    """

    checks_per_second: float = 10.0
    load_seconds: float = 30.0
    born: list[float] = field(default_factory=list)
    broken: bool = False
    most: int | None = None
    proofs: dict[JobGateName, Proof] = field(default_factory=dict)

    def ready(self, now: float) -> int:
        """How many are ready."""
        return 0 if self.broken else sum(now - born >= self.load_seconds for born in self.born)


@dataclass
class World:
    """`lag`: by gateway, how many seconds behind the route it is; `reached`: the epoch that it is at."""

    spec: ModelDeploymentSpec
    versions: dict[str, Pods]
    demand: float | None = 20.0
    lag: dict[str, float] = field(default_factory=lambda: {"gw-1": 0.5, "gw-2": 1.0})
    reached: dict[str, int] = field(default_factory=dict)
    now: float = 1_000.0
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    routes: list[tuple[float, Route]] = field(default_factory=lambda: [(0.0, Route())])
    overrides: list[Override] = field(default_factory=list)
    analyses: dict[str, Analysis] = field(default_factory=dict)
    started: list[StartAnalysis] = field(default_factory=list)
    gate_jobs: dict[str, GateJob] = field(default_factory=dict)
    request: Request | None = None
    events: list[Announce] = field(default_factory=list)
    generation: int = 1

    @property
    def route(self) -> Route:
        """As it is written."""
        return self.routes[-1][1]

    def applied(self, gateway: str) -> Route:
        """What a gateway routes by: it sees each route its lag after it was written, and never an older one
        after a newer one.
        """
        arrived = [one.epoch for at, one in self.routes if at + self.lag[gateway] <= self.now]
        self.reached[gateway] = max([self.reached.get(gateway, 0), *arrived])
        return self.routes[self.reached[gateway]][1]

    def snapshot(self) -> Snapshot:
        """What the keeper sees."""
        gateways = {name: Gateway(self.applied(name).epoch, self.now) for name in self.lag}
        versions = {
            name: Version(
                pods.checks_per_second,
                pods.load_seconds,
                len(pods.born),
                pods.ready(self.now),
                most_pods=pods.most,
                proofs=dict(pods.proofs),
            )
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
            gate_jobs=dict(self.gate_jobs),
        )

    def tick(self, seconds: float = 1.0, crash_after: int | None = None) -> Plan:
        """One look and what follows from it; `crash_after`: only so many actions, and no status written."""
        self.now += seconds
        plan = reconcile(self.snapshot())
        for action in plan.actions[:crash_after]:
            self.carry_out(action)
        if crash_after is None:
            self.status = plan.status
        return plan

    def run(self, seconds: float) -> None:
        """A look a second."""
        for _ in range(round(seconds)):
            self.tick()

    def carry_out(self, action: Action) -> None:
        """What an action says."""
        match action:
            case Scale(version, replicas):
                born = self.versions[version].born
                born[replicas:] = []
                born.extend([self.now] * (replicas - len(born)))
            case WriteRoute(epoch, weights, mirrors, audience):
                pinned = frozenset(pin.version for pin in audience)
                self.routes.append((self.now, Route(epoch, dict(weights), dict(mirrors), pinned, audience)))
            case StartAnalysis():
                self.started.append(action)
                self.analyses.setdefault(action.name, Analysis("Running"))
            case StopAnalysis(name):
                del self.analyses[name]
            case StartGate(name, gate, version, attempt):
                self.gate_jobs.setdefault(name, GateJob(gate, version, attempt))
            case StopGate(name):
                self.gate_jobs.pop(name, None)
            case Verify(version, gate, passed, figures):
                self.versions[version].proofs[gate] = Proof(passed, figures)
            case Remember(status):
                self.status = status
            case Announce():
                self.events.append(action)
