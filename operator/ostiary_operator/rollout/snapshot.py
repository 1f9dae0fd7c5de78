"""What a decision is made from: the cluster as it was seen, and what time it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ostiary_operator.resources.gates import JobGateName
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.resources.model_override import ModelOverrideSpec

LEASE_SECONDS = 15.0
"""A gateway whose Lease is older is gone, and what it has applied does not count."""

Verb = Literal["promote", "promote-full", "abort", "retry"]
AnalysisPhase = Literal["Running", "Successful", "Failed", "Inconclusive", "Error"]


@dataclass(frozen=True)
class Proof:
    """What is written down of a version and a gate as the spec has it now. `figures`: in words."""

    passed: bool
    figures: str


@dataclass(frozen=True)
class Version:
    """A ModelVersion and its Deployment. `checks_per_second`: of one pod; `load_seconds`: until a new pod is
    ready, the slow end of what was measured; None: never measured. `replicas` and `ready`: 0 without a
    Deployment. `bounds`: fewest and most pods where a GPUAutoscaler has their number; None: the
    ModelDeployment has it. `most_pods`: that the namespace's quotas have room for; None: they do not say.
    `proofs`: by gate.
    """

    checks_per_second: float
    load_seconds: float | None = None
    replicas: int = 0
    ready: int = 0
    bounds: tuple[int, int] | None = None
    most_pods: int | None = None
    proofs: Mapping[JobGateName, Proof] = field(default_factory=dict)


@dataclass(frozen=True)
class Gateway:
    """What a gateway's Lease says: the epoch of the route that it has applied, and when it said so."""

    epoch: int
    renewed_at: float


@dataclass(frozen=True, order=True)
class Pin:
    """Callers that are fixed to a version: a tenant, or those with a value of `ostiary-version-pin`. `arm`:
    of an A/B where both sides are told apart, `candidate` or `control`.
    """

    tenant: str
    header: str
    version: str
    arm: str = ""


@dataclass(frozen=True)
class Route:
    """The TrafficRoute as it is written. `weights` and `mirrors`: basis points by version. `pinned`: versions
    that somebody is fixed to, whatever their weight. `audience`: of the pins, the keeper's own.
    """

    epoch: int = 0
    weights: Mapping[str, int] = field(default_factory=dict)
    mirrors: Mapping[str, int] = field(default_factory=dict)
    pinned: frozenset[str] = frozenset()
    audience: frozenset[Pin] = frozenset()


@dataclass(frozen=True)
class Request:
    """What somebody asks of this rollout. `id` tells it from the one before; `force`: although a rollback
    would no longer be possible.

    It holds only for what it names, if it does: `version`: the candidate; `stage`: where that stands, as
    `hearing.stage` has it; `of`: uid of the ModelDeployment.
    """

    verb: Verb
    id: str
    force: bool = False
    version: str | None = None
    stage: str | None = None
    of: str = ""


@dataclass(frozen=True)
class Override:
    """A ModelOverride. `created_at`: seconds since 1970; of several in force, the newest holds. `uid`: tells
    it from one of the same name before it.
    """

    name: str
    created_at: float
    spec: ModelOverrideSpec
    uid: str = ""


@dataclass(frozen=True)
class Analysis:
    """How an AnalysisRun stands."""

    phase: AnalysisPhase
    message: str = ""


@dataclass(frozen=True)
class GateJob:
    """How a gate's Job stands. `attempt`: of the rollout that it was begun in. `over`: it says nothing new.
    Inconclusive: it cannot run as things are, or it has ended without saying anything that can be relied on.
    """

    gate: JobGateName
    version: str
    attempt: int
    phase: Literal["Running", "Passed", "Failed", "Inconclusive"] = "Running"
    message: str = ""
    over: bool = False


@dataclass(frozen=True)
class Snapshot:
    """`demand`: checks a second of the model, from its gateways; None where no gateway says. `uid`: of the
    ModelDeployment.
    """

    now: float
    name: str
    generation: int
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    versions: Mapping[str, Version]
    route: Route = Route()
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    demand: float | None = None
    overrides: Sequence[Override] = ()
    analyses: Mapping[str, Analysis] = field(default_factory=dict)
    request: Request | None = None
    gate_jobs: Mapping[str, GateJob] = field(default_factory=dict)
    uid: str = ""

    @property
    def live(self) -> tuple[Gateway, ...]:
        """Gateways that are there."""
        return tuple(
            gateway for gateway in self.gateways.values() if self.now - gateway.renewed_at <= LEASE_SECONDS
        )

    @property
    def converged(self) -> bool:
        """Whether every live gateway has applied the route as it is written. Without any: no."""
        live = self.live
        return bool(live) and all(gateway.epoch >= self.route.epoch for gateway in live)

    @property
    def override(self) -> Override | None:
        """The order in force."""
        standing = [one for one in self.overrides if one.spec.expires_at > self.now]
        return max(standing, key=lambda one: (one.created_at, one.name), default=None)

    def needed(self, version: str, share: int) -> int:
        """Pods that the version has to have for this share of the traffic, in basis points; at least one,
        unless an autoscaler may take a version that serves alone to zero.
        """
        bounds = self.versions[version].bounds
        if bounds is not None and self._serves_alone(version):
            return bounds[0]
        by_count = -(-self.spec.replicas * share // 10_000) if bounds is None else bounds[0]
        by_demand = (self.demand or 0.0) * share / 10_000 / self.versions[version].checks_per_second
        needed = max(1, by_count, -int(-by_demand // 1))
        return needed if bounds is None else min(needed, bounds[1])

    def _serves_alone(self, version: str) -> bool:
        return self.route.weights == {version: 10_000} and self.status.candidate is None

    def carries(self, version: str) -> int:
        """Share of the traffic that the version's ready pods can carry, in basis points."""
        there = self.versions.get(version)
        if there is None or there.ready == 0:
            return 0
        if self.demand is None:
            whole = self.spec.replicas if there.bounds is None else max(1, there.bounds[0])
            return min(10_000, there.ready * 10_000 // whole)
        if self.demand <= 0:
            return 10_000
        return int(min(10_000.0, there.ready * there.checks_per_second / self.demand * 10_000))
