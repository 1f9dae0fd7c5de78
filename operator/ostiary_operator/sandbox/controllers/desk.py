"""What every controller works with: reading by kind, owned objects, conditions, and Events that say why."""

from collections.abc import Callable
from typing import Any

from ostiary_operator.sandbox.api.deletions import Deletions
from ostiary_operator.sandbox.api.metadata import moment, timestamp
from ostiary_operator.sandbox.api.operations import Operations
from ostiary_operator.sandbox.api.request import Caller, Deletion, Write
from ostiary_operator.sandbox.api.resources import Resource
from ostiary_operator.sandbox.api.status import ApiError
from ostiary_operator.sandbox.api.store import Key, Stored

Json = dict[str, Any]

PODS, NODES, SERVICES = "pods.", "nodes.", "services."
DEPLOYMENTS, REPLICA_SETS, JOBS = "deployments.apps", "replicasets.apps", "jobs.batch"
SLICES = "endpointslices.discovery.k8s.io"
BUDGETS = "poddisruptionbudgets.policy"


class Desk:
    """One controller's access to the cluster."""

    def __init__(self, operations: Operations, deletions: Deletions, name: str) -> None:
        self.operations = operations
        self.deletions = deletions
        self.store = operations.store
        self.name = name
        self._caller = Caller(f"system:serviceaccount:kube-system:{name}", ("system:masters",))
        self._write = Write(self._caller, name, validation="Ignore")
        self._resources: dict[str, Resource] = {}

    def now(self) -> float:
        """The time."""
        return self.operations.clock.now()

    def resource(self, bucket: str) -> Resource:
        """The resource that is stored under `bucket`."""
        if bucket not in self._resources:
            found = self.operations.registry.of_bucket(bucket)
            if found is None:
                raise LookupError(f"nothing is served as {bucket}")
            if found.custom is not None:
                return found
            self._resources[bucket] = found
        return self._resources[bucket]

    def get(self, bucket: str, key: Key) -> Json | None:
        """An object, or None."""
        stored = self.store.get(bucket, key)
        return stored.data if stored else None

    def owned(self, bucket: str, owner: Json) -> list[Json]:
        """The objects that `owner` controls."""
        namespace = owner["metadata"].get("namespace", "")
        uid = owner["metadata"]["uid"]
        return [one for one in self.store.objects(bucket, namespace) if controller_uid(one) == uid]

    async def create(self, bucket: str, namespace: str, obj: Json) -> Json:
        """Creates an object."""
        return await self.operations.create(self.resource(bucket), namespace, obj, self._write)

    async def change(
        self, bucket: str, obj: Json, change: Callable[[Json], Json], subresource: str = ""
    ) -> Json:
        """Changes an object by a function of what it is."""
        metadata = obj["metadata"]
        return await self.operations.change(
            self.resource(bucket),
            metadata.get("namespace", ""),
            metadata["name"],
            change,
            self._write,
            subresource,
        )

    async def set_status(self, bucket: str, obj: Json, status: Json) -> Json:
        """Writes an object's status, if that is another one."""
        if obj.get("status") == status:
            return obj
        return await self.change(bucket, obj, lambda old: old | {"status": status}, "status")

    async def delete(self, bucket: str, obj: Json, deletion: Deletion | None = None) -> None:
        """Deletes an object; one that is gone already is fine."""
        metadata = obj["metadata"]
        deletion = deletion or Deletion(uid=metadata["uid"])
        try:
            await self.deletions.delete(
                self.resource(bucket), metadata.get("namespace", ""), metadata["name"], deletion, self._caller
            )
        except ApiError as error:
            if error.reason != "NotFound":
                raise

    def finish(self, stored: Stored) -> None:
        """Removes a pod that has stopped."""
        self.deletions.finish(self.resource(PODS), stored)

    async def tell(self, obj: Json, kind: str, reason: str, message: str) -> None:
        """Records an Event about an object; a repeated one is counted."""
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or "default"
        now = timestamp(self.now())
        for event in reversed(self.store.objects("events.", namespace)):
            involved = event.get("involvedObject") or {}
            if (involved.get("uid"), event.get("reason"), event.get("message")) == (
                metadata["uid"],
                reason,
                message,
            ):
                repeated = {"count": event.get("count", 1) + 1, "lastTimestamp": now}
                await self.change("events.", event, lambda old: old | repeated)  # noqa: B023  # awaited here
                return
        event = {
            "metadata": {"name": f"{metadata['name']}.{int(self.now() * 1e6):x}", "namespace": namespace},
            "involvedObject": {
                "kind": obj["kind"],
                "apiVersion": obj["apiVersion"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "reason": reason,
            "message": message,
            "type": kind,
            "source": {"component": self.name},
            "reportingComponent": self.name,
            "reportingInstance": "",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        if metadata.get("namespace"):
            event["involvedObject"]["namespace"] = namespace
        try:
            await self.create("events.", namespace, event)
        except ApiError as error:
            if error.reason not in ("AlreadyExists", "Forbidden", "NotFound"):
                raise


def owner_reference(owner: Json) -> Json:
    """The reference of a controlling owner."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Json) -> Json | None:
    """The reference of the owner that controls an object, or None."""
    references = obj["metadata"].get("ownerReferences") or ()
    return next((one for one in references if one.get("controller")), None)


def controller_uid(obj: Json) -> str:
    """Identity of the owner that controls an object, or nothing."""
    found = controller_of(obj)
    return str(found["uid"]) if found else ""


def owner_key(obj: Json, kind: str) -> list[Key]:
    """The key of the owner that controls an object, where it is of this kind."""
    found = controller_of(obj)
    if found is None or found["kind"] != kind:
        return []
    return [(obj["metadata"].get("namespace", ""), found["name"])]


def condition(obj: Json, kind: str) -> Json | None:
    """A condition in an object's status, or None."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), None)


def is_true(obj: Json, kind: str) -> bool:
    """Whether a condition holds."""
    found = condition(obj, kind)
    return found is not None and found["status"] == "True"


def with_condition(conditions: list[Json], new: Json, now: float, *, updated: bool = False) -> list[Json]:
    """Conditions with one set; its time of transition stays while its status does."""
    stamp = timestamp(now)
    made = dict(new)
    before = next((one for one in conditions if one["type"] == new["type"]), None)
    same_status = before is not None and before["status"] == new["status"]
    made["lastTransitionTime"] = before["lastTransitionTime"] if before and same_status else stamp
    if updated:
        alike = before is not None and all(before.get(key) == value for key, value in new.items())
        made["lastUpdateTime"] = before["lastUpdateTime"] if before and alike else stamp
    return [*(one for one in conditions if one["type"] != new["type"]), made]


def is_ready(pod: Json) -> bool:
    """Whether a pod takes requests."""
    return is_true(pod, "Ready")


def is_available(pod: Json, seconds: int, now: float) -> bool:
    """Whether a pod has been ready for long enough."""
    found = condition(pod, "Ready")
    if found is None or found["status"] != "True":
        return False
    return not seconds or now - moment(found["lastTransitionTime"]) >= seconds


def is_over(pod: Json) -> bool:
    """Whether a pod has ended by itself."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
