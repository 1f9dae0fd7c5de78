"""All that there is to be seen of one ModelDeployment. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ostiary_operator.resources.analysis import AnalysisTemplateSpec
from ostiary_operator.resources.conditions import Condition
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.resources.model_version import ModelVersionSpec, ModelVersionStatus
from ostiary_operator.rollout.snapshot import LEASE_SECONDS, Request


@dataclass(frozen=True)
class Pod:
    """One pod, and what keeps it from being ready."""

    name: str
    ready: bool
    says: str


@dataclass(frozen=True)
class VersionSeen:
    """A ModelVersion with its Deployment and pods; `spec` is None where the ModelVersion is gone."""

    name: str
    spec: ModelVersionSpec | None
    status: ModelVersionStatus
    replicas: int
    ready: int
    pods: tuple[Pod, ...]


@dataclass(frozen=True)
class Gateway:
    """A gateway's Lease: the epoch of the route that it has applied, and how many seconds ago it said so."""

    name: str
    epoch: int
    seconds: float

    @property
    def live(self) -> bool:
        """Whether the keeper counts it."""
        return self.seconds <= LEASE_SECONDS


@dataclass(frozen=True)
class OverrideSeen:
    """A ModelOverride. `created`: seconds since 1970."""

    name: str
    created: float
    spec: ModelOverrideSpec


@dataclass(frozen=True)
class RunSeen:
    """An AnalysisRun. `created`: seconds since 1970."""

    name: str
    created: float
    candidate: str
    phase: str
    message: str


@dataclass(frozen=True)
class Rollout:
    """A ModelDeployment and everything about it. `generation`: of its newest spec; `epoch`: of the route;
    `request`: what was asked of it last; `uid` and `resource_version`: of the object as it was seen.
    """

    name: str
    namespace: str
    now: float
    generation: int
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    versions: Mapping[str, VersionSeen]
    weights: Mapping[str, int] = field(default_factory=dict)
    mirrors: Mapping[str, int] = field(default_factory=dict)
    epoch: int = 0
    gateways: Sequence[Gateway] = ()
    overrides: Sequence[OverrideSeen] = ()
    runs: Sequence[RunSeen] = ()
    templates: Mapping[str, AnalysisTemplateSpec] = field(default_factory=dict)
    request: Request | None = None
    uid: str = ""
    resource_version: str = ""

    @property
    def override(self) -> OverrideSeen | None:
        """The order in force."""
        standing = [one for one in self.overrides if one.spec.expires_at > self.now]
        return max(standing, key=lambda one: (one.created, one.name), default=None)

    @property
    def pending(self) -> Request | None:
        """The request that the keeper has not acted on yet."""
        return None if self.request is None or self.request.id == self.status.answered else self.request

    @property
    def coming(self) -> str | None:
        """The version that is on its way, or is about to be as soon as the keeper looks."""
        named, status = self.spec.version_ref.name, self.status
        if named == status.stable or status.holds_back(named):
            return status.candidate
        return named if status.stable is not None else None

    def condition(self, name: str) -> Condition | None:
        """One of the status."""
        return next((one for one in self.status.conditions if one.type == name), None)
