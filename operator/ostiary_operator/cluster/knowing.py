"""What changes in the cluster → who is to be looked at. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ostiary_operator.cluster.attention import Attention
from ostiary_operator.cluster.kinds import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    DEPLOYMENTS,
    GPU_AUTOSCALERS,
    LEASES,
    MODEL_DEPLOYMENTS,
    MODEL_OVERRIDES,
    Json,
    Kind,
)
from ostiary_operator.cluster.mirror import Change, Key, Mirror, about, number
from ostiary_operator.cluster.pulse import Pulse
from ostiary_operator.cluster.seeing import Sightings, acked


class Knowing:
    """Takes what watches and lists tell."""

    def __init__(
        self,
        mirror: Mirror,
        sightings: Sightings,
        deployments: Attention,
        runs: Attention,
        autoscalers: Attention,
        clock: Callable[[], float],
        pulse: Pulse,
    ) -> None:
        """`deployments`: who looks at ModelDeployments; `runs`: at AnalysisRuns; `autoscalers`: at
        GPUAutoscalers; `pulse`: told what watches tell, and what only lists do.
        """
        self._mirror = mirror
        self._sightings = sightings
        self._deployments = deployments
        self._runs = runs
        self._autoscalers = autoscalers
        self._clock = clock
        self._pulse = pulse

    def told(self, kind: Kind, event: str | None, obj: Json) -> None:
        """An event of a watch."""
        self._pulse.told(_stream(kind, str(obj["metadata"]["namespace"])), _version(obj))
        change = self._mirror.remove(kind, obj) if event == "DELETED" else self._mirror.take(kind, obj)
        if change is not None:
            self._changed(change)

    def listed(self, kind: Kind, namespace: str, objects: Iterable[Json], version: str) -> None:
        """A list of all objects of a kind."""
        there = list(objects)
        changes = self._mirror.listed(kind, namespace, there, version)
        missed = [_version(change.after) for change in changes if change.after is not None]
        newest = max(map(_version, there), default=0)
        self._pulse.listed(_stream(kind, namespace), max(missed, default=0), newest)
        for change in changes:
            self._changed(change)

    def _changed(self, change: Change) -> None:
        some = change.after or change.before
        assert some is not None  # noqa: S101 - a change has one of them
        namespace, name = some["metadata"]["namespace"], some["metadata"]["name"]
        if change.kind == LEASES:
            self._renewed(change, namespace)
            return
        if change.kind == GPU_AUTOSCALERS and not self._autoscaler_changed(change, (namespace, name)):
            return
        if change.kind == MODEL_DEPLOYMENTS and change.after is None:
            self._deployments.forget((namespace, name))
        if change.kind == ANALYSIS_RUNS and not self._run_changed(change, (namespace, name)):
            return
        for obj in (change.before, change.after):
            if obj is not None:
                for key in self._concerned(change.kind, obj, namespace):
                    self._deployments.stir(key)

    def _concerned(self, kind: Kind, obj: Json, namespace: str) -> Iterable[Key]:
        """ModelDeployments that an object is about."""
        if kind == MODEL_OVERRIDES:
            target = (namespace, about(kind, obj))
            return [target] if self._mirror.get(MODEL_DEPLOYMENTS, *target) is not None else []
        if kind == ANALYSIS_TEMPLATES:
            return [key for key in self._mirror.keys(MODEL_DEPLOYMENTS) if key[0] == namespace]
        model = about(kind, obj)
        if kind == GPU_AUTOSCALERS:
            scaled = self._mirror.get(DEPLOYMENTS, namespace, model)
            model = about(DEPLOYMENTS, scaled) if scaled is not None else ""
        return [(namespace, name) for name in self._mirror.about(MODEL_DEPLOYMENTS, namespace, model)]

    def _run_changed(self, change: Change, key: Key) -> bool:
        """Whether the rollout wants to know: of how the run stands, not of each word that it says."""
        if change.after is None:
            self._runs.forget(key)
        elif change.before is None:
            self._runs.stir(key)
        return _phase(change.before) != _phase(change.after)

    def _autoscaler_changed(self, change: Change, key: Key) -> bool:
        """Whether it is another autoscaler than before: its status is its own keeper's word."""
        if change.after is None:
            self._autoscalers.forget(key)
            return True
        if _generation(change.before) == _generation(change.after):
            return False
        self._autoscalers.stir(key)
        return True

    def _renewed(self, change: Change, namespace: str) -> None:
        """Gateways renew their Leases all the time; it concerns a route when one has been applied."""
        before, after = change.before, change.after
        if after is None:
            assert before is not None  # noqa: S101 - a change has one of them
            self._sightings.forget(before)
        else:
            self._sightings.note(after, self._clock())
        was, now = acked(before) if before else {}, acked(after) if after else {}
        for route in {*was, *now}:
            if was.get(route) != now.get(route):
                for name in self._mirror.about(MODEL_DEPLOYMENTS, namespace, route):
                    self._deployments.stir((namespace, name))


def _stream(kind: Kind, namespace: str) -> str:
    return f"{kind.plural} in {namespace}"


def _version(obj: Json) -> int:
    return number(obj["metadata"].get("resourceVersion"))


def _generation(obj: Json | None) -> object:
    return None if obj is None else (obj["metadata"]["uid"], obj["metadata"].get("generation"))


def _phase(run: Json | None) -> str | None:
    return None if run is None else str((run.get("status") or {}).get("phase", "Running"))
