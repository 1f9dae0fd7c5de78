"""What a plan may ask to have done. Each can be done twice without harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ostiary_operator.resources.gates import JobGateName
from ostiary_operator.resources.model_deployment import ModelDeploymentStatus
from ostiary_operator.rollout.snapshot import Pin


@dataclass(frozen=True)
class Scale:
    """Have so many pods of a version; its Deployment is made where there is none."""

    version: str
    replicas: int


@dataclass(frozen=True)
class WriteRoute:
    """Write the TrafficRoute: shares in basis points by version, which sum to 10,000, copies, and callers
    that are fixed to a version.
    """

    epoch: int
    weights: Mapping[str, int]
    mirrors: Mapping[str, int]
    audience: frozenset[Pin] = frozenset()


@dataclass(frozen=True)
class StartAnalysis:
    """Have a candidate judged beside a baseline. The name is the same however often it is asked for. `arms`:
    by the checks of an A/B's two arms alone.
    """

    name: str
    template: str
    candidate: str
    baseline: str
    arms: bool = False


@dataclass(frozen=True)
class StopAnalysis:
    """Have a run end: what it would say no longer matters."""

    name: str


@dataclass(frozen=True)
class StartGate:
    """Have a gate's Job run on a version. The name is the same however often it is asked for."""

    name: str
    gate: JobGateName
    version: str
    attempt: int


@dataclass(frozen=True)
class StopGate:
    """Have a gate's Job go: what it would say no longer matters."""

    name: str


@dataclass(frozen=True)
class Verify:
    """Write down what a gate's Job has said of a version, for whoever asks the same again."""

    version: str
    gate: JobGateName
    passed: bool
    figures: str


@dataclass(frozen=True)
class Remember:
    """Write the status before what follows: whoever has to go on from there shall not take it for undone."""

    status: ModelDeploymentStatus


@dataclass(frozen=True)
class Announce:
    """An Event for people."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


Action = (
    Scale | WriteRoute | StartAnalysis | StopAnalysis | StartGate | StopGate | Verify | Remember | Announce
)


@dataclass(frozen=True)
class Plan:
    """What to do, in this order, and the status to write afterwards."""

    actions: tuple[Action, ...]
    status: ModelDeploymentStatus
