"""What may be disrupted, and what may be used: PodDisruptionBudgets and ResourceQuotas, counted."""

from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.metadata import moment
from ostiary_operator.sandbox.api.quota import Quotas
from ostiary_operator.sandbox.api.selectors import of_object
from ostiary_operator.sandbox.api.store import DELETED, Bucket, Event, Key
from ostiary_operator.sandbox.api.values import at, plain_quantity, scaled
from ostiary_operator.sandbox.controllers.desk import (
    BUDGETS,
    PODS,
    REPLICA_SETS,
    Desk,
    controller_of,
    is_over,
    is_ready,
    with_condition,
)

Json = dict[str, Any]
_QUOTAS = "resourcequotas."
_DISRUPTION_PATIENCE = 120.0
"""Seconds in which an evicted pod has to go before it counts again."""


class Budgets:
    """PodDisruptionBudgets: how many pods may be spared now."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """The budget itself, and those of a pod's namespace."""
        if bucket == BUDGETS and event.type != DELETED:
            return (event.key,)
        if bucket == PODS:
            return [key for key, _ in self._desk.store.items(BUDGETS, event.key[0])]
        return ()

    async def reconcile(self, key: Key) -> float | None:
        """Counts the healthy pods and says how many may be evicted."""
        budget = self._desk.get(BUDGETS, key)
        if budget is None:
            return None
        selector = of_object(at(budget, "spec", "selector"))
        pods = [
            pod
            for pod in self._desk.store.objects(PODS, key[0])
            if selector is not None and selector.matches(pod["metadata"].get("labels")) and not is_over(pod)
        ]
        now = self._desk.now()
        present = {pod["metadata"]["name"] for pod in pods if not pod["metadata"].get("deletionTimestamp")}
        disrupted = {
            name: since
            for name, since in at(budget, "status", "disruptedPods", default={}).items()
            if name in present and now - moment(since) < _DISRUPTION_PATIENCE
        }
        healthy = sum(
            is_ready(pod)
            and not pod["metadata"].get("deletionTimestamp")
            and pod["metadata"]["name"] not in disrupted
            for pod in pods
        )
        expected, desired = self._wanted(budget, pods)
        allowed = max(healthy - desired, 0) if expected else 0
        enough = {
            "type": "DisruptionAllowed",
            "status": "True" if allowed else "False",
            "reason": "SufficientPods" if allowed else "InsufficientPods",
            "message": "",
            "observedGeneration": budget["metadata"]["generation"],
        }
        status: Json = {
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "observedGeneration": budget["metadata"]["generation"],
            "conditions": with_condition(at(budget, "status", "conditions", default=[]), enough, now),
        }
        if disrupted:
            status["disruptedPods"] = disrupted
        await self._desk.set_status(BUDGETS, budget, status)
        return _DISRUPTION_PATIENCE if disrupted else None

    def _wanted(self, budget: Json, pods: list[Json]) -> tuple[int, int]:
        """How many pods are expected, and how many of them must be healthy."""
        spec = budget.get("spec") or {}
        if (most := spec.get("maxUnavailable")) is not None:
            expected = self._scale(pods)
            return expected, max(expected - scaled(most, expected, up=True), 0)
        least = spec.get("minAvailable", 1)
        if isinstance(least, int):
            return len(pods), least
        expected = self._scale(pods)
        return expected, scaled(least, expected, up=True)

    def _scale(self, pods: list[Json]) -> int:
        """What the owners of the pods are meant to have of them."""
        owners = {
            (pod["metadata"]["namespace"], reference["name"])
            for pod in pods
            if (reference := controller_of(pod)) is not None
        }
        bare = sum(controller_of(pod) is None for pod in pods)
        sets = [found for owner in owners if (found := self._desk.get(REPLICA_SETS, owner))]
        wanted: int = sum(at(one, "spec", "replicas", default=0) for one in sets)
        return bare + wanted


class QuotaUse:
    """ResourceQuotas: what is used of them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._quotas = Quotas(desk.store)

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """The quota itself, and those of an object's namespace."""
        if bucket == _QUOTAS and event.type != DELETED:
            return (event.key,)
        if event.key[0] and bucket not in (_QUOTAS, "events."):
            return [key for key, _ in self._desk.store.items(_QUOTAS, event.key[0])]
        return ()

    async def reconcile(self, key: Key) -> float | None:
        """Writes what is used."""
        quota = self._desk.get(_QUOTAS, key)
        if quota is None:
            return None
        hard = at(quota, "spec", "hard", default={})
        used = self._quotas.used(key[0], list(hard))
        status = {"hard": hard, "used": {name: plain_quantity(amount) for name, amount in used.items()}}
        await self._desk.set_status(_QUOTAS, quota, status)
        return None
