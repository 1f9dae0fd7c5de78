"""What is to go because its owner went, because nobody waits any more, or with its namespace."""

from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.deletions import FOREGROUND, ORPHAN
from ostiary_operator.sandbox.api.request import Deletion
from ostiary_operator.sandbox.api.store import DELETED, Bucket, Event, Key
from ostiary_operator.sandbox.api.values import at
from ostiary_operator.sandbox.controllers.desk import Desk

Json = dict[str, Any]
_NAMESPACES = "namespaces."
_NEVER = frozenset(("events.",))


class Garbage:
    """Collects objects whose owners are all gone, and serves foreground and orphaning deletions.

    Keys are (bucket, namespace/name), as it looks after every kind.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._live: dict[str, tuple[Bucket, Key]] = {}
        self._dependents: dict[str, set[tuple[Bucket, Key]]] = {}
        self._owners: dict[tuple[Bucket, Key], set[str]] = {}

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """The object itself where it has owners or waits, its dependents where it went, its owners too."""
        if bucket in _NEVER:
            return ()
        metadata, place = event.now.data["metadata"], (bucket, event.key)
        uid = metadata["uid"]
        owners = {one["uid"] for one in metadata.get("ownerReferences") or ()}
        for gone in self._owners.get(place, set()) - owners:
            self._dependents.get(gone, set()).discard(place)
        touched: set[tuple[Bucket, Key]] = set()
        if event.type == DELETED:
            self._live.pop(uid, None)
            self._owners.pop(place, None)
            touched |= self._dependents.get(uid, set())
            for owner in owners:
                self._dependents.get(owner, set()).discard(place)
        else:
            self._live[uid] = place
            if owners:
                self._owners[place] = owners
                for owner in owners:
                    self._dependents.setdefault(owner, set()).add(place)
                touched.add(place)
            if {FOREGROUND, ORPHAN} & set(metadata.get("finalizers") or ()):
                touched.add(place)
        touched |= {self._live[owner] for owner in owners if owner in self._live}
        return [(one, "/".join(key)) for one, key in touched]

    async def reconcile(self, key: Key) -> float | None:
        """Deletes the object if nobody owns it any more; serves its own deletion if it waits for that."""
        bucket, (namespace, _, name) = key[0], key[1].partition("/")
        obj = self._desk.get(bucket, (namespace, name))
        if obj is None or self._desk.operations.registry.of_bucket(bucket) is None:
            return None
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            await self._serve(bucket, obj)
            return None
        references = metadata.get("ownerReferences") or []
        if not references:
            return None
        present = [one for one in references if self._is_there(one, namespace)]
        if not present:
            waiting = ORPHAN if ORPHAN in (metadata.get("finalizers") or ()) else ""
            policy = "Orphan" if waiting else "Background"
            await self._desk.delete(bucket, obj, Deletion(policy=policy, uid=metadata["uid"]))
        elif all(self._awaits_dependents(one) for one in present):
            policy = "Foreground" if self._dependents.get(metadata["uid"]) else "Background"
            await self._desk.delete(bucket, obj, Deletion(policy=policy, uid=metadata["uid"]))
        return None

    def _is_there(self, reference: Json, namespace: str) -> bool:
        place = self._live.get(reference["uid"])
        if place is None:
            return False
        _, (owner_namespace, name) = place
        return name == reference["name"] and owner_namespace in ("", namespace)

    def _awaits_dependents(self, reference: Json) -> bool:
        place = self._live.get(reference["uid"])
        owner = self._desk.get(*place) if place else None
        if owner is None or not owner["metadata"].get("deletionTimestamp"):
            return False
        return FOREGROUND in (owner["metadata"].get("finalizers") or ()) and bool(
            reference.get("blockOwnerDeletion")
        )

    async def _serve(self, bucket: Bucket, obj: Json) -> None:
        finalizers = obj["metadata"].get("finalizers") or ()
        dependents = self._found_dependents(obj)
        if ORPHAN in finalizers:
            for one, dependent in dependents:
                await self._desk.change(
                    one, dependent, lambda live: _without_owner(live, obj["metadata"]["uid"])
                )
            await self._desk.change(bucket, obj, lambda live: _without_finalizer(live, ORPHAN))
        elif FOREGROUND in finalizers:
            for one, dependent in dependents:
                if not dependent["metadata"].get("deletionTimestamp"):
                    policy = (
                        "Foreground" if self._dependents.get(dependent["metadata"]["uid"]) else "Background"
                    )
                    await self._desk.delete(
                        one, dependent, Deletion(policy=policy, uid=dependent["metadata"]["uid"])
                    )
            if not any(_blocks(found, obj) for _, found in self._found_dependents(obj)):
                await self._desk.change(bucket, obj, lambda live: _without_finalizer(live, FOREGROUND))

    def _found_dependents(self, obj: Json) -> list[tuple[Bucket, Json]]:
        places = sorted(self._dependents.get(obj["metadata"]["uid"], set()))
        return [(bucket, found) for bucket, key in places if (found := self._desk.get(bucket, key))]


def _blocks(dependent: Json, owner: Json) -> bool:
    references = dependent["metadata"].get("ownerReferences") or ()
    return any(one["uid"] == owner["metadata"]["uid"] and one.get("blockOwnerDeletion") for one in references)


def _without_owner(obj: Json, uid: str) -> Json:
    kept = [one for one in obj["metadata"].get("ownerReferences") or () if one["uid"] != uid]
    return obj | {"metadata": obj["metadata"] | {"ownerReferences": kept}}


def _without_finalizer(obj: Json, finalizer: str) -> Json:
    kept = [one for one in obj["metadata"].get("finalizers") or () if one != finalizer]
    return obj | {"metadata": obj["metadata"] | {"finalizers": kept}}


class Namespaces:
    """Empties namespaces that are being deleted, and gives every new one its service account."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """The namespace itself, and the one that lost an object."""
        if bucket == _NAMESPACES and event.type != DELETED:
            return (event.key,)
        return (("", event.key[0]),) if event.type == DELETED and event.key[0] else ()

    async def reconcile(self, key: Key) -> float | None:
        """Deletes what is left in a dying namespace, then lets it go."""
        namespace = self._desk.get(_NAMESPACES, key)
        if namespace is None:
            return None
        name = key[1]
        if not namespace["metadata"].get("deletionTimestamp"):
            if self._desk.get("serviceaccounts.", (name, "default")) is None:
                await self._desk.create("serviceaccounts.", name, {"metadata": {"name": "default"}})
            return None
        left = 0
        for bucket in self._desk.store.buckets():
            if self._desk.operations.registry.of_bucket(bucket) is None:
                continue
            for obj in self._desk.store.objects(bucket, name):
                if not obj["metadata"].get("deletionTimestamp"):
                    await self._desk.delete(bucket, obj)
            left += len(self._desk.store.items(bucket, name))
        if not left and at(namespace, "spec", "finalizers"):
            await self._desk.change(_NAMESPACES, namespace, lambda old: old | {"spec": {}})
        return None
