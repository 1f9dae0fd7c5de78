"""CustomResourceDefinitions: accepted and served when made, emptied and forgotten when deleted."""

from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.deletions import Deletions
from ostiary_operator.sandbox.api.metadata import timestamp
from ostiary_operator.sandbox.api.operations import Operations
from ostiary_operator.sandbox.api.request import SYSTEM, Deletion, Write
from ostiary_operator.sandbox.api.status import ApiError
from ostiary_operator.sandbox.api.store import DELETED, Bucket, Event, Key
from ostiary_operator.sandbox.api.values import at

Json = dict[str, Any]

BUCKET = "customresourcedefinitions.apiextensions.k8s.io"
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_WRITE = Write(SYSTEM, "kube-apiserver")


class Definitions:
    """Keeps what is served in step with the definitions."""

    def __init__(self, operations: Operations, deletions: Deletions) -> None:
        self._operations = operations
        self._deletions = deletions
        self._dying: set[Bucket] = set()

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """The definition itself; and one that is being deleted, when an object of its kind goes."""
        if bucket == BUCKET:
            if event.type == DELETED:
                self._operations.registry.forget(event.key[1])
                self._dying.discard(event.key[1])
            return (event.key,)
        if event.type == DELETED and bucket in self._dying:
            return (("", bucket),)
        return ()

    async def reconcile(self, key: Key) -> float | None:
        """Establishes a definition, or deletes its objects and lets it go."""
        stored = self._operations.store.get(BUCKET, key)
        if stored is None:
            return None
        definition = stored.data
        if definition["metadata"].get("deletionTimestamp"):
            await self._clean_up(key, definition)
            return None
        self._operations.registry.define(definition)
        wanted = self._status(definition)
        if wanted != definition.get("status"):
            resource = self._operations.registry.find(
                "apiextensions.k8s.io", "v1", "customresourcedefinitions"
            )
            assert resource is not None  # noqa: S101  # built in
            await self._operations.change(
                resource, "", key[1], lambda old: old | {"status": wanted}, _WRITE, "status"
            )
        return None

    def _status(self, definition: Json) -> Json:
        spec, before = definition["spec"], definition.get("status") or {}
        since = {one["type"]: one["lastTransitionTime"] for one in before.get("conditions") or ()}
        now = timestamp(self._operations.clock.now())
        conditions = [
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": message,
                "lastTransitionTime": since.get(kind, now),
            }
            for kind, reason, message in (
                ("NamesAccepted", "NoConflicts", "no conflicts found"),
                ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            )
        ]
        storage = next(version["name"] for version in spec["versions"] if version["storage"])
        versions = list(before.get("storedVersions") or [])
        if storage not in versions:
            versions.append(storage)
        return {"conditions": conditions, "acceptedNames": spec["names"], "storedVersions": versions}

    async def _clean_up(self, key: Key, definition: Json) -> None:
        if FINALIZER not in (definition["metadata"].get("finalizers") or ()):
            return
        bucket = key[1]
        self._dying.add(bucket)
        resource = self._operations.registry.of_bucket(bucket)
        for obj in self._operations.store.objects(bucket):
            if resource is None:
                break
            if not obj["metadata"].get("deletionTimestamp"):
                try:
                    await self._deletions.delete(
                        resource,
                        obj["metadata"].get("namespace", ""),
                        obj["metadata"]["name"],
                        Deletion(),
                        SYSTEM,
                    )
                except ApiError as error:
                    if error.reason != "NotFound":
                        raise
        if not self._operations.store.items(bucket):
            own = self._operations.registry.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
            assert own is not None  # noqa: S101  # built in
            await self._operations.change(own, "", key[1], _without_finalizer, _WRITE)


def _without_finalizer(definition: Json) -> Json:
    kept = [one for one in at(definition, "metadata", "finalizers", default=[]) if one != FINALIZER]
    return definition | {"metadata": definition["metadata"] | {"finalizers": kept}}
