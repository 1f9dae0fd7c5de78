"""What another spec would have decided, on what was recorded. Pure.

Arrivals and queues are taken as they were recorded. The number of pods is the replay's own: what it asked for
becomes ready a cold start later, and the pods' work, which is what it is whatever the number of pods, is
spread over them. So a replay tells pods and their cost; whether callers would have waited longer it can tell
only by how full the pods would have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ostiary_operator.autoscaling.decide import decide
from ostiary_operator.autoscaling.decision import Decision
from ostiary_operator.autoscaling.inputs import Inputs, PodSample, Sample
from ostiary_operator.autoscaling.log import Entry
from ostiary_operator.autoscaling.memory import Memory
from ostiary_operator.autoscaling.spec import GPU_UNITS, AutoscalerSpec

_LONGEST_STEP = 600.0


@dataclass(frozen=True)
class Replayed:
    """One recorded decision, and what the candidate decides in its place."""

    entry: Entry
    after: Decision

    @property
    def changes(self) -> bool:
        """Whether the candidate would have had another number of pods."""
        return int(self.entry.decision["desired"]) != self.after.desired


@dataclass
class Tally:
    """What a replay comes to.

    Attributes:
        decisions: how many there are.
        changed: how many would have been otherwise.
        pod_hours_before: as recorded.
        pod_hours_after: with the candidate.
        most_before: most pods as recorded.
        most_after: most pods with the candidate.
        short: decisions at which demand was more than the candidate's ready pods can carry.
    """

    decisions: int = 0
    changed: int = 0
    pod_hours_before: float = 0.0
    pod_hours_after: float = 0.0
    most_before: int = 0
    most_after: int = 0
    short: int = 0


@dataclass
class _Fleet:
    """The pods that the candidate would have had."""

    memory: Memory = field(default_factory=Memory)
    replicas: int | None = None
    coming: list[tuple[float, int]] = field(default_factory=list)

    def ready(self, now: float) -> int:
        """How many of them take checks."""
        return max((self.replicas or 0) - sum(count for at, count in self.coming if at > now), 0)

    def ask(self, wanted: int, now: float, cold_start: float) -> None:
        """What was decided, done."""
        change = wanted - (self.replicas or 0)
        self.coming = [(at, count) for at, count in self.coming if at > now]
        if change > 0:
            self.coming.append((now + cold_start, change))
        while change < 0 and self.coming:
            at, count = self.coming.pop()
            change += count
            if change > 0:
                self.coming.append((at, change))
        self.replicas = wanted


def replay(entries: Iterable[Entry], spec: AutoscalerSpec | None, tally: Tally) -> Iterator[Replayed]:
    """Each recorded decision with the candidate's, counted in `tally`. `spec` None: decided as it was
    then.
    """
    fleets: dict[str, _Fleet] = {}
    last: dict[str, tuple[float, int, int]] = {}
    for entry in entries:
        fleet = fleets.setdefault(entry.name, _Fleet())
        candidate = spec or entry.spec
        inputs = entry.inputs
        if spec is not None:
            inputs = _with_fleet(entry, fleet, candidate)
        after = decide(candidate, inputs, fleet.memory, entry.at)
        fleet.memory = after.memory
        fleet.ask(after.desired, entry.at, candidate.capacity.cold_start_seconds)
        _count(tally, entry, after, fleet, candidate, last)
        yield Replayed(entry, after)


def _with_fleet(entry: Entry, fleet: _Fleet, spec: AutoscalerSpec) -> Inputs:
    """What was recorded, with the candidate's pods in place of the recorded ones."""
    inputs = entry.inputs
    if fleet.replicas is None:
        fleet.replicas = inputs.current
        unready = sum(not pod.ready for pod in inputs.pods)
        if unready:
            fleet.coming.append((entry.at + spec.capacity.cold_start_seconds, unready))
    before = [pod for pod in inputs.pods if pod.ready]
    ready = fleet.ready(entry.at)
    share = len(before) / ready if ready else 1.0
    pods = (
        tuple(_sharing_work(before[index % len(before)], index, share) for index in range(ready))
        if before
        else ()
    )
    coming = tuple(
        PodSample(f"replayed-{ready + index}", False, entry.at) for index in range(fleet.replicas - len(pods))
    )
    return replace(inputs, current=fleet.replicas, pods=pods + coming)


def _sharing_work(pod: PodSample, index: int, share: float) -> PodSample:
    """A pod with its part of the work that so many others had."""
    metrics = {
        name: Sample(_spread(name, sample.value, share), sample.at) for name, sample in pod.metrics.items()
    }
    outstanding = None if pod.outstanding is None else pod.outstanding * share
    return replace(pod, name=f"replayed-{index}", metrics=metrics, outstanding=outstanding)


def _spread(name: str, value: float, share: float) -> float:
    """A figure with `share` times the work; what was wrong before stays wrong."""
    most = GPU_UNITS.get(name, 1.0 if name in ("status.gpu_utilisation", "status.sm_active") else None)
    spread = value * share
    return spread if most is None or not value <= most else min(spread, most)


def _count(
    tally: Tally,
    entry: Entry,
    after: Decision,
    fleet: _Fleet,
    spec: AutoscalerSpec,
    last: dict[str, tuple[float, int, int]],
) -> None:
    before = int(entry.decision["desired"])
    if entry.name in last:
        at, pods_before, pods_after = last[entry.name]
        hours = min(max(entry.at - at, 0.0), _LONGEST_STEP) / 3600.0
        tally.pod_hours_before += pods_before * hours
        tally.pod_hours_after += pods_after * hours
    last[entry.name] = (entry.at, before, after.desired)
    tally.decisions += 1
    tally.changed += before != after.desired
    tally.most_before = max(tally.most_before, before)
    tally.most_after = max(tally.most_after, after.desired)
    carried = fleet.ready(entry.at) if spec.mode == "Enforce" else entry.inputs.current
    needed = [
        reading.value for reading in after.readings if reading.name == "demand" and reading.value is not None
    ]
    tally.short += any(value > carried for value in needed)
