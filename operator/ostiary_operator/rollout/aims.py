"""What a look at the cluster leads to, before it is known what has to be done for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ostiary_operator.resources.gates import JobGateName
from ostiary_operator.resources.model_deployment import (
    HISTORY,
    AnalysisRef,
    Entry,
    ModelDeploymentStatus,
    Phase,
    Strategy,
)
from ostiary_operator.rollout.snapshot import Pin, Snapshot

_BEGINNING = {"step": 0, "shadowing": False, "comparing": False, "held": False, "gate": None, "waived": ()}
"""Of a status: where nothing of a rollout has been done."""


@dataclass(frozen=True)
class Aim:
    """`ideal`: the shares of the traffic to approach; empty: leave them. `mirrors`: copies. `audience`:
    callers to fix to a version. `wanted`: pods to have at least, by version. `runs`: analyses to have, by
    name; `gates`: Jobs of gates. `frozen`: leave everything as it is.
    """

    status: ModelDeploymentStatus
    phase: Phase
    reason: str
    message: str
    ideal: Mapping[str, int] = field(default_factory=dict)
    mirrors: Mapping[str, int] = field(default_factory=dict)
    audience: frozenset[Pin] = frozenset()
    wanted: Mapping[str, int] = field(default_factory=dict)
    runs: Mapping[str, AnalysisRef] = field(default_factory=dict)
    gates: Mapping[str, JobGateName] = field(default_factory=dict)
    frozen: bool = False


def without_candidate(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The status where nothing is on its way."""
    return status.model_copy(update={"candidate": None, **_BEGINNING})


def with_candidate(
    status: ModelDeploymentStatus, version: str, now: float, strategy: Strategy
) -> ModelDeploymentStatus:
    """The status where a version is about to begin its way."""
    ahead = {"shadowing": strategy.shadow is not None, "comparing": strategy.ab is not None}
    begun = {
        "candidate": version, "rejected": None, "gate_failure": None, "attempt": status.attempt + 1,
        "since": now, "promoted_at": None,
    }  # fmt: skip
    return status.model_copy(update={**_BEGINNING, **begun, **ahead})


def made_stable(
    status: ModelDeploymentStatus, version: str, now: float, why: str, order: str | None = None
) -> ModelDeploymentStatus:
    """The status where a version has all the traffic. `order`: uid of the ModelOverride that says so."""
    history = (*status.history, Entry(version=version, at=now, why=why, order=order))[-HISTORY:]
    return without_candidate(status).model_copy(
        update={"stable": version, "history": history, "since": now, "promoted_at": None}
    )


def run_name(snapshot: Snapshot, status: ModelDeploymentStatus, version: str, of: str) -> str:
    """Name of an analysis run: the same each time that it is asked for, another for each attempt."""
    return f"{snapshot.name}-{version}-{status.attempt}-{of}"
