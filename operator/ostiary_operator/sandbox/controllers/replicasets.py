"""ReplicaSets: as many pods as asked for."""

from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.metadata import moment
from ostiary_operator.sandbox.api.selectors import of_object
from ostiary_operator.sandbox.api.status import ApiError
from ostiary_operator.sandbox.api.store import DELETED, Bucket, Event, Key
from ostiary_operator.sandbox.api.values import at, copied
from ostiary_operator.sandbox.controllers.desk import (
    PODS,
    REPLICA_SETS,
    Desk,
    condition,
    is_available,
    is_over,
    is_ready,
    owner_key,
    owner_reference,
    with_condition,
)

Json = dict[str, Any]
_BACK_OFF = 1.0


class ReplicaSets:
    """Creates and deletes the pods of ReplicaSets."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """The set itself, and the one that a pod belongs to."""
        if bucket == REPLICA_SETS and event.type != DELETED:
            return (event.key,)
        return owner_key(event.now.data, "ReplicaSet") if bucket == PODS else ()

    async def reconcile(self, key: Key) -> float | None:
        """Adds or removes pods, and says how many there are."""
        found = self._desk.get(REPLICA_SETS, key)
        if found is None:
            return None
        pods = [pod for pod in self._desk.owned(PODS, found) if not is_over(pod)]
        active = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        failure = ""
        if not found["metadata"].get("deletionTimestamp"):
            failure = await self._scale(found, active)
            active = [
                pod
                for pod in self._desk.owned(PODS, found)
                if not pod["metadata"].get("deletionTimestamp") and not is_over(pod)
            ]
        again = await self._report(found, active, failure)
        return _BACK_OFF if failure else again

    async def _scale(self, owner: Json, active: list[Json]) -> str:
        wanted = at(owner, "spec", "replicas", default=1)
        for pod in sorted(active, key=_dispensable)[: max(len(active) - wanted, 0)]:
            await self._desk.delete(PODS, pod)
            words = f"Deleted pod: {pod['metadata']['name']}"
            await self._desk.tell(owner, "Normal", "SuccessfulDelete", words)
        for _ in range(wanted - len(active)):
            try:
                pod = await self._desk.create(PODS, owner["metadata"]["namespace"], self._pod(owner))
            except ApiError as error:
                await self._desk.tell(owner, "Warning", "FailedCreate", f"Error creating: {error}")
                return str(error)
            await self._desk.tell(
                owner, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}"
            )
        return ""

    def _pod(self, owner: Json) -> Json:
        template = copied(owner["spec"]["template"])
        metadata = template.get("metadata") or {}
        metadata["generateName"] = f"{owner['metadata']['name']}-"
        metadata["ownerReferences"] = [owner_reference(owner)]
        metadata.pop("name", None)
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

    async def _report(self, owner: Json, active: list[Json], failure: str) -> float | None:
        now, patience = self._desk.now(), at(owner, "spec", "minReadySeconds", default=0)
        labels = of_object({"matchLabels": at(owner, "spec", "template", "metadata", "labels", default={})})
        status: Json = {
            "replicas": len(active),
            "fullyLabeledReplicas": sum(
                bool(labels and labels.matches(pod["metadata"].get("labels"))) for pod in active
            ),
            "readyReplicas": sum(map(is_ready, active)),
            "availableReplicas": sum(is_available(pod, patience, now) for pod in active),
            "observedGeneration": owner["metadata"]["generation"],
        }
        status = {
            name: value
            for name, value in status.items()
            if value or name in ("replicas", "observedGeneration")
        }
        conditions = at(owner, "status", "conditions", default=[])
        if failure:
            new = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": failure}
            conditions = with_condition(conditions, new, now)
        else:
            conditions = [one for one in conditions if one["type"] != "ReplicaFailure"]
        if conditions:
            status["conditions"] = conditions
        await self._desk.set_status(REPLICA_SETS, owner, status)
        waits = [
            moment(found["lastTransitionTime"]) + patience - now
            for pod in active
            if is_ready(pod) and not is_available(pod, patience, now) and (found := condition(pod, "Ready"))
        ]
        return max(min(waits), 0.05) if waits else None


def _deletion_cost(pod: Json) -> int:
    """What the pod's annotation says; one that is no number says nothing."""
    said = at(pod, "metadata", "annotations", "controller.kubernetes.io/pod-deletion-cost", default="0")
    try:
        return int(said)
    except ValueError:
        return 0


def _dispensable(pod: Json) -> tuple[bool, int, bool, int, float]:
    """Sorts pods so that those come first that are missed least."""
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}
    return (
        bool(at(pod, "spec", "nodeName")),
        phases.get(at(pod, "status", "phase", default="Pending"), 2),
        is_ready(pod),
        _deletion_cost(pod),
        -moment(pod["metadata"]["creationTimestamp"]),
    )
