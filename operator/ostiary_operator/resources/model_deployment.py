"""ModelDeployment (short `md`): which version of a model serves, and how the next one gets there."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ostiary_operator.resources.conditions import Condition
from ostiary_operator.resources.gates import GateName, Gates
from ostiary_operator.resources.part import WHOLE, BasisPoints, Name, Part, Seconds, Time

Phase = Literal["Pending", "Healthy", "Progressing", "Paused", "Aborting", "Degraded", "Overridden"]
HISTORY = 20
Caller = Annotated[str, Field(min_length=1, max_length=253)]


class VersionRef(Part):
    """A ModelVersion in the same namespace."""

    name: Name


class AnalysisRef(Part):
    """An AnalysisTemplate in the same namespace."""

    template: Name


class Step(Part):
    """One step of a canary, exactly one of the three: give the candidate a share of the traffic, wait, or
    judge. A pause without `pause_seconds` lasts until somebody promotes: give `pause: true`.
    """

    set_weight: BasisPoints | None = None
    pause: bool = False
    pause_seconds: Seconds | None = None
    analysis: AnalysisRef | None = None

    @model_validator(mode="after")
    def _one(self) -> Step:
        given = [
            self.set_weight is not None,
            self.pause or self.pause_seconds is not None,
            bool(self.analysis),
        ]
        if sum(given) != 1:
            raise ValueError("give exactly one of setWeight, pause (or pauseSeconds) and analysis")
        return self


class Canary(Part):
    """Shares of the traffic, one after another. After the last step the candidate gets all of it."""

    steps: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _ascending(self) -> Canary:
        weights = [step.set_weight for step in self.steps if step.set_weight is not None]
        if any(later <= earlier for earlier, later in pairwise(weights)):
            raise ValueError("steps: each setWeight has to be above the one before")
        if self.steps and self.steps[0].analysis is not None:
            raise ValueError("steps: there is nothing to judge before the first setWeight")
        return self


class Shadow(Part):
    """The candidate gets copies, in this share, and its answers are only compared, before any step."""

    share: BasisPoints = WHOLE
    seconds: Seconds = 600.0
    analysis: AnalysisRef | None = None


class Control(Part):
    """Callers that the candidate's are compared with, in place of all others: they are fixed to the version
    that serves, and counted apart. Either some that are named, or `split`: this share of the A/B's own
    callers, in basis points, drawn by a hash that is the same for the whole rollout; none is empty.
    """

    split: Annotated[int, Field(ge=1, le=WHOLE - 1)] | None = None
    tenants: tuple[Caller, ...] = Field(default=(), max_length=50)
    headers: tuple[Caller, ...] = Field(default=(), max_length=50)

    @model_validator(mode="after")
    def _one(self) -> Control:
        if (self.split is None) != bool(self.tenants or self.headers):
            raise ValueError("control: give either split, or tenants and headers: who is compared with")
        return self


class AB(Part):
    """The candidate gets all checks of some callers and none of the others', after the copies and before the
    steps, and both are compared; with `control` its callers and those.

    `tenants`: whose checks. `headers`: those with one of these as their `ostiary-version-pin`. `share`: most
    that they are expected to be of the traffic; the candidate has pods for it before it gets any.
    """

    tenants: tuple[Caller, ...] = Field(default=(), max_length=50)
    headers: tuple[Caller, ...] = Field(default=(), max_length=50)
    control: Control | None = None
    share: Annotated[int, Field(ge=1, le=WHOLE)] = WHOLE // 10
    seconds: Seconds = 600.0
    analysis: AnalysisRef | None = None

    @model_validator(mode="after")
    def _some(self) -> AB:
        if not self.tenants and not self.headers:
            raise ValueError("ab: give tenants, headers or both: whose checks the candidate gets")
        for callers in (self.tenants, self.headers):
            if twice := sorted({one for one in callers if callers.count(one) > 1}):
                raise ValueError(f"ab: {', '.join(twice)} stands there twice; keep one")
        if self.control is not None:
            self._told_apart(self.control)
        return self

    def _told_apart(self, control: Control) -> None:
        if control.split is not None and len(self.tenants) + len(self.headers) < 2:
            raise ValueError("ab: control.split needs two callers or more; name them in tenants and headers")
        both = {*self.tenants} & {*control.tenants} | {*self.headers} & {*control.headers}
        if both:
            raise ValueError(f"ab: {', '.join(sorted(both))} cannot be on both sides; keep one")


class Strategy(Part):
    """`shadow` first, if given, then `ab`, then the canary's steps; `gates`: what is to be proved on the
    way.
    """

    shadow: Shadow | None = None
    ab: AB | None = None
    canary: Canary = Canary()
    gates: Gates = Gates()


class PostPromotion(Part):
    """How long a new version is watched with all the traffic, and by what; what fails then is taken back."""

    seconds: Seconds = 600.0
    analysis: AnalysisRef | None = None


class Warm(Part):
    """Versions that are kept running without traffic, so that a rollback takes seconds.

    `mode`: Full keeps as many pods as carry all traffic; Reduced keeps `replicas`.
    """

    versions: Annotated[int, Field(ge=0, le=5)] = 1
    mode: Literal["Full", "Reduced"] = "Full"
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1


class ModelDeploymentSpec(Part):
    """`model`: name of the TrafficRoute and of the model that the versions are of. `replicas`: pods that the
    version with all traffic has at least; an autoscaler may add more.
    """

    model: Name
    version_ref: VersionRef
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    strategy: Strategy = Strategy()
    post_promotion: PostPromotion = PostPromotion()
    warm: Warm = Warm()
    progress_deadline_seconds: Seconds = 600.0
    paused: bool = False


class Weights(Part):
    """By version, in basis points. `desired`: what the newest route says; `observed`: what every live gateway
    has applied at least of it, the weights of the oldest epoch that any of them is at.
    """

    desired: dict[str, BasisPoints] = Field(default_factory=dict)
    observed: dict[str, BasisPoints] = Field(default_factory=dict)


class Entry(Part):
    """A version that had all the traffic. `at`: since when; `order`: uid of the ModelOverride that led to
    it.
    """

    version: Name
    at: Time
    why: str
    order: str | None = None


class RollbackReady(Part):
    """Where a rollback would go, and how long until that version has all the traffic."""

    version: Name
    eta_seconds: float = Field(ge=0.0)


class GateFailure(Part):
    """Why a version is rejected: it did not pass a gate. `figures`: in words."""

    version: Name
    gate: GateName
    figures: str


class ModelDeploymentStatus(Part):
    """What the operator remembers between two looks; all of it is rebuilt or kept by `reconcile`.

    `step`: index into the strategy's steps, of the one that is being taken. `since`: when it began.
    `answered`: the last request (promote, abort, retry) that was followed or refused. `attempt`: counts the
    rollouts that were begun, so that each has analyses of its own. `rejected`: a version that was aborted; it
    is not tried again before the spec has named another meanwhile, or somebody retries. `named`: the version
    that the spec named at the last look. `gate`: the one that is waited for;
    `waived`: those that somebody let the candidate past.
    """

    observed_generation: int = 0
    phase: Phase = "Pending"
    stable: str | None = None
    candidate: str | None = None
    shadowing: bool = False
    comparing: bool = False
    step: int = 0
    since: Time = 0.0
    held: bool = False
    gate: GateName | None = None
    waived: tuple[GateName, ...] = ()
    gate_failure: GateFailure | None = None
    promoted_at: Time | None = None
    rejected: str | None = None
    named: str | None = None
    answered: str | None = None
    attempt: int = 0
    weights: Weights = Weights()
    candidate_weight: BasisPoints = 0
    ready_replicas: int = 0
    history: tuple[Entry, ...] = ()
    rollback_ready: RollbackReady | None = None
    conditions: tuple[Condition, ...] = ()

    def holds_back(self, version: str) -> bool:
        """Whether a version was rejected, and the spec has named no other since."""
        return version == self.rejected and self.named in (None, version)
