"""What the keeper counts. Attributes are of closed sets: no name of an object is among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from opentelemetry.metrics import Meter, Observation

from ostiary.wire.telemetry.buckets import SECONDS
from ostiary_operator.cluster.kinds import MODEL_DEPLOYMENTS, Json
from ostiary_operator.cluster.mirror import Mirror
from ostiary_operator.resources.model_deployment import Phase
from ostiary_operator.rollout.actions import Action

SCOPE = "ostiary.keeper"
Result = Literal["done", "conflict", "api_failure", "failed", "not_leading"]


class KeeperMetrics:
    """One keeper's."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._looks = meter.create_histogram(
            "keeper.reconcile.duration",
            unit="s",
            description="Looks at objects and what followed, by kind and by how they ended",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._actions = meter.create_counter(
            "keeper.actions", description="Actions of rollouts that were carried out, by what they do"
        )

    def looked(self, kind: str) -> Callable[[Result, float], None]:
        """Who is to be told how looks at objects of a kind ended, and how many seconds each took."""
        return lambda result, seconds: self._looks.record(seconds, {"kind": kind, "result": result})

    def acted(self, action: Action) -> None:
        """An action was carried out."""
        self._actions.add(1, {"action": type(action).__name__})

    def watch(self, mirror: Mirror, leading: Callable[[], bool]) -> None:
        """Report leadership and how rollouts stand, for as long as the process lives."""
        self._meter.create_observable_gauge(
            "keeper.leader", [lambda _: [Observation(int(leading()))]], description="1 where this keeper acts"
        )
        self._meter.create_observable_gauge(
            "keeper.rollouts",
            [lambda _: [Observation(n, {"phase": name}) for name, n in standing(mirror).phases.items()]],
            description="ModelDeployments, by phase",
        )
        self._meter.create_observable_gauge(
            "keeper.rollback_ready",
            [lambda _: [Observation(standing(mirror).rollback_ready)]],
            description="ModelDeployments whose traffic could go back to an earlier version at once",
        )


@dataclass(frozen=True)
class Standing:
    """How ModelDeployments stand: how many are in each phase, all of which are named; how many have
    `RollbackReady`.
    """

    phases: Mapping[str, int]
    rollback_ready: int


def standing(mirror: Mirror) -> Standing:
    """As their statuses say; one that has none is Pending."""
    found: Counter[str] = Counter()
    ready = 0
    for namespace, name in mirror.keys(MODEL_DEPLOYMENTS):
        status = (mirror.get(MODEL_DEPLOYMENTS, namespace, name) or {}).get("status") or {}
        found[str(status.get("phase"))] += 1
        ready += _holds(status, "RollbackReady")
    known = get_args(Phase)
    found["Pending"] += sum(count for phase, count in found.items() if phase not in known)
    return Standing({phase: found[phase] for phase in known}, ready)


def _holds(status: Json, condition: str) -> bool:
    said: Iterable[Json] = status.get("conditions") or ()
    return any(one.get("type") == condition and one.get("status") == "True" for one in said)
