"""What holds a candidate up before its share of the traffic rises: gates that it has not passed yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ostiary_operator.resources.gates import CapacityGate, Gate, GateName, JobGateName
from ostiary_operator.resources.model_deployment import ModelDeploymentStatus
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.rollout.snapshot import GateJob, Snapshot

_SHORT: Mapping[JobGateName, str] = {"goldenSet": "golden", "replay": "replay"}
_ORDER = ("Failed", "Inconclusive", "Running", "Waiting")


@dataclass(frozen=True)
class Standing:
    """A gate that is not passed. Waiting: for something that changes by itself."""

    gate: GateName
    phase: Literal["Failed", "Inconclusive", "Running", "Waiting"]
    message: str


@dataclass(frozen=True)
class HeldUp:
    """`first`: the gate that decides what becomes of the candidate. `jobs`: to have, by name."""

    first: Standing
    jobs: Mapping[str, JobGateName] = field(default_factory=dict)


def held_up(
    snapshot: Snapshot, status: ModelDeploymentStatus, candidate: str, before: int, share: int
) -> HeldUp | None:
    """What keeps the candidate from going from one share of the traffic (basis points) to another; None: it
    may go.
    """
    due = dict(_due(snapshot, status, before, share))
    standings = []
    jobs: dict[str, JobGateName] = {}
    for name in due:
        if name == "capacity":
            standings.append(_capacity(snapshot, candidate))
            continue
        standing = _proved(snapshot, status, candidate, name)
        standings.append(standing)
        if standing is not None:
            jobs[job_name(snapshot, status, candidate, name)] = name
    open_ = [one for one in standings if one is not None]
    if not open_:
        return None
    return HeldUp(min(open_, key=lambda one: _ORDER.index(one.phase)), jobs)


def _due(
    snapshot: Snapshot, status: ModelDeploymentStatus, before: int, share: int
) -> Iterator[tuple[GateName, Gate]]:
    gates = snapshot.spec.strategy.gates
    named: tuple[tuple[GateName, Gate | None], ...] = (
        ("capacity", gates.capacity), ("goldenSet", gates.golden_set), ("replay", gates.replay),
    )  # fmt: skip
    for name, gate in named:
        if gate is None or name in status.waived:
            continue
        first = gate.before == "Traffic" and before == 0 < share
        majority = gate.before == "Majority" and before <= WHOLE // 2 < share
        if first or majority:
            yield name, gate


def _proved(
    snapshot: Snapshot, status: ModelDeploymentStatus, candidate: str, name: JobGateName
) -> Standing | None:
    proof = snapshot.versions[candidate].proofs.get(name)
    if proof is not None and proof.passed:
        return None
    job = snapshot.gate_jobs.get(job_name(snapshot, status, candidate, name))
    if job is None:
        return Standing(name, "Running", "is begun")
    if job.phase == "Passed":
        return None
    return Standing(name, job.phase, job.message or "is judged")


def _capacity(snapshot: Snapshot, candidate: str) -> Standing | None:
    gate = snapshot.spec.strategy.gates.capacity or CapacityGate()
    if snapshot.demand is None:
        return Standing("capacity", "Waiting", "the gateways do not say how many checks come to them")
    pods, by = _most_pods(snapshot, candidate, gate)
    if pods is None:
        return None
    each, needed = snapshot.versions[candidate].checks_per_second, snapshot.demand * gate.headroom
    if pods * each >= needed:
        return None
    why = f" ({gate.headroom:g} times the {snapshot.demand:g} that come)" if gate.headroom > 1.0 else ""
    message = (
        f"{candidate} carries at most {pods * each:g} checks/s, {pods} pods of {each:g} by {by}; "
        f"needed are {needed:g}{why}"
    )
    return Standing("capacity", "Waiting", message)


def _most_pods(snapshot: Snapshot, candidate: str, gate: CapacityGate) -> tuple[int | None, str]:
    """Pods that the candidate can have, and what limits them; None: nothing that is known does, so that it
    gets as many as the demand asks for.
    """
    version = snapshot.versions[candidate]
    limits = [
        (version.most_pods, "the namespace's quota"),
        (None if version.bounds is None else version.bounds[1], "its GPUAutoscaler"),
        (gate.pods, "gates.capacity.pods"),
    ]
    known = [(pods, by) for pods, by in limits if pods is not None]
    return min(known, default=(None, ""))


def job_name(snapshot: Snapshot, status: ModelDeploymentStatus, version: str, gate: JobGateName) -> str:
    """Name of a gate's Job, at most 48 characters: the same each time that it is asked for, another for each
    attempt and for a gate that asks for something else.
    """
    spec = snapshot.spec.strategy.gates.jobs.get(gate)
    asked = spec.model_dump_json() if spec is not None else ""
    of = "\0".join((snapshot.name, version, str(status.attempt), gate, asked))
    digest = hashlib.sha256(of.encode()).hexdigest()[:10]
    return f"{version[:30].rstrip('-')}-{_SHORT[gate]}-{digest}"


def is_dispensable(job: GateJob, name: str, wanted: Mapping[str, JobGateName], attempt: int) -> bool:
    """Whether a Job is to go: it belongs to an earlier attempt, or runs though nobody waits for it. One that
    is over is left for people to look at.
    """
    return job.attempt != attempt or (name not in wanted and not job.over)
