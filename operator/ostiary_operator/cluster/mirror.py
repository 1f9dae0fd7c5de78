"""What the keeper knows of the cluster: the newest version that it has seen of each object. No I/O.

It is told by watches, by lists, and by the answers to its own writes, in any order: an older version never
takes the place of a newer one, and what was deleted does not come back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ostiary_operator.cluster.kinds import (
    ANALYSIS_RUNS,
    DELETION_COST,
    DEPLOYMENTS,
    GPU_AUTOSCALERS,
    JOBS,
    MODEL,
    MODEL_DEPLOYMENTS,
    MODEL_OVERRIDES,
    MODEL_VERSIONS,
    PODS,
    TRAFFIC_ROUTES,
    Json,
    Kind,
    labels,
)

T = TypeVar("T")
Key = tuple[str, str]
"""Namespace and name."""
_REMEMBERED = 10_000
_OF_PODS = ("name", "namespace", "uid", "resourceVersion", "labels", "creationTimestamp", "deletionTimestamp")


_OF_POD_STATUS = ("conditions", "containerStatuses", "initContainerStatuses")


@dataclass(frozen=True)
class Change:
    """An object as it was known before, and as it is known now; None where there is none."""

    kind: Kind
    before: Json | None
    after: Json | None


class Mirror:
    """Objects by kind, namespace and name; and, for most kinds, by the model that they are about."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Json]] = {}
        self._about: dict[tuple[str, str, str], dict[str, Json]] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._read: dict[tuple[str, Key], dict[Callable[[Json], Any], Any]] = {}

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """An object, or None. Not to be changed."""
        return self._objects.get(kind.plural, {}).get((namespace, name))

    def read(self, kind: Kind, namespace: str, name: str, by: Callable[[Json], T]) -> T | None:
        """What `by` makes of an object, or None without one: made once for as long as the object is the same,
        since most looks find most objects so. `by` has to be a function that lasts.
        """
        obj = self.get(kind, namespace, name)
        if obj is None:
            return None
        made = self._read.setdefault((kind.plural, (namespace, name)), {})
        if by not in made:
            made[by] = by(obj)
        found: T = made[by]
        return found

    def keys(self, kind: Kind) -> list[Key]:
        """Of all objects of a kind."""
        return list(self._objects.get(kind.plural, {}))

    def about(self, kind: Kind, namespace: str, what: str = "") -> Mapping[str, Json]:
        """Objects about a model, by their names; of a ModelOverride: about a ModelDeployment; of a
        GPUAutoscaler: about a version; of kinds that are about none: all of the namespace.
        """
        return self._about.get((kind.plural, namespace, what), {})

    def take(self, kind: Kind, obj: Json) -> Change | None:
        """An object as somebody saw it; None: nothing new."""
        metadata = obj["metadata"]
        if not _matters(kind, obj):
            return self.remove(kind, obj)
        key = (metadata["namespace"], metadata["name"])
        before = self._objects.get(kind.plural, {}).get(key)
        if metadata.get("uid") in self._deleted or (before is not None and not _newer(obj, before)):
            return None
        now = _slim(kind, obj)
        self._forget(kind, key)
        self._objects.setdefault(kind.plural, {})[key] = now
        self._about.setdefault((kind.plural, key[0], about(kind, now)), {})[key[1]] = now
        return Change(kind, before, now)

    def remove(self, kind: Kind, obj: Json) -> Change | None:
        """An object that is gone; None: nothing new."""
        metadata = obj["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if _matters(kind, obj):
            self._deleted[str(metadata.get("uid"))] = None
            if len(self._deleted) > _REMEMBERED:
                self._deleted.popitem(last=False)
        before = self._objects.get(kind.plural, {}).get(key)
        if before is None or before["metadata"].get("uid") != metadata.get("uid"):
            return None
        self._forget(kind, key)
        return Change(kind, before, None)

    def listed(self, kind: Kind, namespace: str, objects: Iterable[Json], version: str) -> list[Change]:
        """All objects of a kind, as they were at a version: what was not known, or known wrongly."""
        there, changes = set(), []
        for obj in objects:
            there.add(obj["metadata"].get("uid"))
            if (change := self.take(kind, obj)) is not None:
                changes.append(change)
        for key, known in list(self._objects.get(kind.plural, {}).items()):
            gone = key[0] == namespace and known["metadata"].get("uid") not in there
            if gone and number(known["metadata"].get("resourceVersion")) <= number(version):
                self._forget(kind, key)
                changes.append(Change(kind, known, None))
        return changes

    def _forget(self, kind: Kind, key: Key) -> None:
        self._read.pop((kind.plural, key), None)
        known = self._objects.get(kind.plural, {}).pop(key, None)
        if known is None:
            return
        where = (kind.plural, key[0], about(kind, known))
        self._about[where].pop(key[1], None)
        if not self._about[where]:
            del self._about[where]


def about(kind: Kind, obj: Json) -> str:
    """The model that an object is about; of a ModelOverride: the ModelDeployment; of a
    GPUAutoscaler: the version that it scales; else nothing.
    """
    if kind in (DEPLOYMENTS, PODS, JOBS):
        return str(labels(obj).get(MODEL, ""))
    if kind in (MODEL_DEPLOYMENTS, MODEL_VERSIONS, ANALYSIS_RUNS):
        return str((obj.get("spec") or {}).get("model", ""))
    if kind == MODEL_OVERRIDES:
        return str((obj.get("spec") or {}).get("target", ""))
    if kind == GPU_AUTOSCALERS:
        return str(((obj.get("spec") or {}).get("scaleTargetRef") or {}).get("name", ""))
    return str(obj["metadata"]["name"]) if kind == TRAFFIC_ROUTES else ""


def _matters(kind: Kind, obj: Json) -> bool:
    name, _, value = kind.select.partition("=")
    return not name or (name in labels(obj) and value in ("", labels(obj)[name]))


def _slim(kind: Kind, obj: Json) -> Json:
    """Without what nobody asks for: there are many pods, and they are large."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    if kind == PODS:
        kept = {name: metadata[name] for name in _OF_PODS if name in metadata}
        cost = (metadata.get("annotations") or {}).get(DELETION_COST)
        if cost is not None:
            kept["annotations"] = {DELETION_COST: cost}
        status = obj.get("status") or {}
        said = {name: status[name] for name in _OF_POD_STATUS if name in status}
        return {"metadata": kept, "status": said}
    if kind == JOBS:
        return {"metadata": metadata, "status": obj.get("status") or {}}
    if kind == DEPLOYMENTS:
        return {"metadata": metadata, "spec": {"replicas": (obj.get("spec") or {}).get("replicas", 1)}}
    return {**obj, "metadata": metadata}


def _newer(one: Json, other: Json) -> bool:
    """Versions of objects are numbers that grow (KEP-5504). Another object of the same name is the newer one:
    the one before it is gone.
    """
    if one["metadata"].get("uid") != other["metadata"].get("uid"):
        return True
    return number(one["metadata"].get("resourceVersion")) > number(other["metadata"].get("resourceVersion"))


def number(version: object) -> int:
    """A resourceVersion; 0 for what is none."""
    return int(str(version)) if str(version).isdigit() else 0
