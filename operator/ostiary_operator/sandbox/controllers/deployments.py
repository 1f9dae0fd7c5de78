"""Deployments: from one ReplicaSet to the next, never with more or fewer pods than allowed."""

import hashlib
from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.metadata import moment
from ostiary_operator.sandbox.api.store import DELETED, Bucket, Event, Key
from ostiary_operator.sandbox.api.values import at, copied, encoded, scaled
from ostiary_operator.sandbox.controllers.desk import (
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    Desk,
    condition,
    is_over,
    owner_key,
    owner_reference,
    with_condition,
)

Json = dict[str, Any]

REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Json) -> str:
    """A short name for a pod template."""
    digest = hashlib.sha256(encoded(template)).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def _bare(template: Json) -> Json:
    """A template as it is compared: without the hash, and no annotations are as good as none."""
    made: Json = copied(template)
    metadata = made.get("metadata") or {}
    (metadata.get("labels") or {}).pop(HASH, None)
    made["metadata"] = {key: value for key, value in metadata.items() if value}
    return made


def _size(replica_set: Json) -> int:
    size: int = at(replica_set, "spec", "replicas", default=0)
    return size


def _available(replica_set: Json) -> int:
    count: int = at(replica_set, "status", "availableReplicas", default=0)
    return count


def _revision(obj: Json) -> int:
    return int((obj["metadata"].get("annotations") or {}).get(REVISION, 0))


class Bounds:
    """How many pods there may and must be during a rollout."""

    def __init__(self, deployment: Json) -> None:
        self.replicas: int = at(deployment, "spec", "replicas", default=1)
        strategy = at(deployment, "spec", "strategy", default={})
        self.recreate = strategy.get("type") == "Recreate"
        rolling = strategy.get("rollingUpdate") or {}
        self.surge = 0 if self.recreate else scaled(rolling.get("maxSurge", "25%"), self.replicas, up=True)
        unavailable = scaled(rolling.get("maxUnavailable", "25%"), self.replicas, up=False)
        if not self.surge and not unavailable:
            unavailable = 1
        self.unavailable = 0 if self.recreate else min(unavailable, self.replicas)
        self.most = self.replicas + self.surge
        self.least = self.replicas - self.unavailable


class Deployments:
    """Rolls Deployments."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """The deployment itself, and the one whose ReplicaSet, or whose ReplicaSet's pod, changed."""
        if bucket == DEPLOYMENTS and event.type != DELETED:
            return (event.key,)
        if bucket == REPLICA_SETS:
            return owner_key(event.now.data, "Deployment")
        if bucket == PODS and event.type == DELETED:
            for namespace, name in owner_key(event.now.data, "ReplicaSet"):
                replica_set = self._desk.get(REPLICA_SETS, (namespace, name))
                return owner_key(replica_set, "Deployment") if replica_set else ()
        return ()

    async def reconcile(self, key: Key) -> float | None:
        """One step of the rollout, and the status after it."""
        deployment = self._desk.get(DEPLOYMENTS, key)
        if deployment is None:
            return None
        if deployment["metadata"].get("deletionTimestamp"):
            await self._report(deployment, *self._sets(deployment))
            return None
        new, old = self._sets(deployment)
        bounds = Bounds(deployment)
        paused = bool(at(deployment, "spec", "paused"))
        if not paused:
            new = await self._current(deployment, new, old)
        if paused or self._was_resized(deployment, new, old):
            await self._resize(deployment, new, old, bounds)
        elif new is not None and bounds.recreate:
            await self._recreate(deployment, new, old)
        elif new is not None:
            await self._roll(deployment, new, old, bounds)
        if not paused:
            await self._forget_history(deployment)
        new, old = self._sets(deployment)
        return await self._report(deployment, new, old)

    def _sets(self, deployment: Json) -> tuple[Json | None, list[Json]]:
        """The ReplicaSet of the present template, and the others, the oldest first."""
        sets = self._desk.owned(REPLICA_SETS, deployment)
        sets.sort(
            key=lambda one: (one["metadata"]["creationTimestamp"], _revision(one), one["metadata"]["name"])
        )
        template = _bare(deployment["spec"]["template"])
        new = next((one for one in sets if _bare(one["spec"]["template"]) == template), None)
        return new, [one for one in sets if one is not new]

    async def _current(self, deployment: Json, new: Json | None, old: list[Json]) -> Json:
        """The ReplicaSet of the present template, made where there is none, with the newest revision."""
        revision = max((_revision(one) for one in old), default=0) + 1
        if new is None:
            new = await self._make(deployment, old, revision)
        elif _revision(new) < revision:
            new = await self._annotate(REPLICA_SETS, new, {REVISION: str(revision)})
        revision = _revision(new)
        if _revision(deployment) != revision:
            await self._annotate(DEPLOYMENTS, deployment, {REVISION: str(revision)})
        return new

    async def _make(self, deployment: Json, old: list[Json], revision: int) -> Json:
        bounds = Bounds(deployment)
        template = copied(deployment["spec"]["template"])
        name = template_hash(_bare(template))
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels[HASH] = name
        selector = copied(deployment["spec"]["selector"])
        selector.setdefault("matchLabels", {})[HASH] = name
        total = sum(map(_size, old))
        if bounds.recreate:
            size = 0 if self._old_pods(deployment) else bounds.replicas
        else:
            size = max(min(bounds.replicas, bounds.most - total), 0)
        metadata = deployment["metadata"]
        made = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{name}",
                "labels": labels,
                "annotations": {
                    REVISION: str(revision),
                    DESIRED: str(bounds.replicas),
                    MOST: str(bounds.most),
                },
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": size, "selector": selector, "template": template},
        }
        if patience := at(deployment, "spec", "minReadySeconds"):
            made["spec"]["minReadySeconds"] = patience  # type: ignore[index]  # a JSON object
        created = await self._desk.create(REPLICA_SETS, metadata["namespace"], made)
        await self._told_of_size(deployment, created, 0, size)
        return created

    async def _annotate(self, bucket: str, obj: Json, annotations: dict[str, str]) -> Json:
        def annotated(live: Json) -> Json:
            merged = {**(live["metadata"].get("annotations") or {}), **annotations}
            return live | {"metadata": live["metadata"] | {"annotations": merged}}

        return await self._desk.change(bucket, obj, annotated)

    def _was_resized(self, deployment: Json, new: Json | None, old: list[Json]) -> bool:
        """Whether the number of replicas changed since the active ReplicaSets were last sized."""
        wanted = str(at(deployment, "spec", "replicas", default=1))
        active = [one for one in (*old, new) if one is not None and _size(one)]
        return any(
            (one["metadata"].get("annotations") or {}).get(DESIRED, wanted) != wanted for one in active
        )

    async def _resize(self, deployment: Json, new: Json | None, old: list[Json], bounds: Bounds) -> None:
        """Gives every active ReplicaSet its share of a new number of replicas."""
        everything = [one for one in (new, *old) if one is not None]
        active = [one for one in everything if _size(one)]
        if len(active) <= 1:
            only = active[0] if active else new
            if only is not None:
                await self._set_size(deployment, only, bounds.replicas, bounds)
            return
        allowed = bounds.most
        missing = allowed - sum(map(_size, active))
        order = sorted(active, key=lambda one: (-_size(one), one is not new))
        added = 0
        sizes = {}
        for one in order:
            annotations = one["metadata"].get("annotations") or {}
            before = int(annotations.get(MOST, 0)) or allowed
            share = round(_size(one) * allowed / before) - _size(one)
            rest = missing - added
            share = min(share, rest) if missing > 0 else max(share, rest)
            if missing * share < 0:
                share = 0
            sizes[one["metadata"]["name"]] = _size(one) + share
            added += share
        sizes[order[0]["metadata"]["name"]] += missing - added
        for one in order:
            await self._set_size(deployment, one, max(sizes[one["metadata"]["name"]], 0), bounds)

    async def _set_size(self, deployment: Json, replica_set: Json, size: int, bounds: Bounds) -> Json:
        before = _size(replica_set)
        annotations = {DESIRED: str(bounds.replicas), MOST: str(bounds.most)}
        have = replica_set["metadata"].get("annotations") or {}
        if before == size and annotations.items() <= have.items():
            return replica_set

        def sized(live: Json) -> Json:
            merged = {**(live["metadata"].get("annotations") or {}), **annotations}
            return live | {
                "metadata": live["metadata"] | {"annotations": merged},
                "spec": live["spec"] | {"replicas": size},
            }

        made = await self._desk.change(REPLICA_SETS, replica_set, sized)
        await self._told_of_size(deployment, made, before, size)
        return made

    async def _told_of_size(self, deployment: Json, replica_set: Json, before: int, after: int) -> None:
        if before != after:
            word = "up" if after > before else "down"
            name = replica_set["metadata"]["name"]
            message = f"Scaled {word} replica set {name} from {before} to {after}"
            await self._desk.tell(deployment, "Normal", "ScalingReplicaSet", message)

    async def _recreate(self, deployment: Json, new: Json, old: list[Json]) -> None:
        bounds = Bounds(deployment)
        for one in old:
            if _size(one):
                await self._set_size(deployment, one, 0, bounds)
        if not self._old_pods(deployment):
            await self._set_size(deployment, new, bounds.replicas, bounds)

    def _old_pods(self, deployment: Json) -> bool:
        _, old = self._sets(deployment)
        return any(not is_over(pod) for one in old for pod in self._desk.owned(PODS, one))

    async def _roll(self, deployment: Json, new: Json, old: list[Json], bounds: Bounds) -> None:
        if _size(new) > bounds.replicas:
            new = await self._set_size(deployment, new, bounds.replicas, bounds)
        elif _size(new) < bounds.replicas:
            room = bounds.most - _size(new) - sum(map(_size, old))
            if room > 0:
                size = _size(new) + min(room, bounds.replicas - _size(new))
                new = await self._set_size(deployment, new, size, bounds)
        else:
            new = await self._set_size(deployment, new, bounds.replicas, bounds)
        await self._shrink_old(deployment, new, [one for one in old if _size(one)], bounds)

    async def _shrink_old(self, deployment: Json, new: Json, old: list[Json], bounds: Bounds) -> None:
        total = _size(new) + sum(map(_size, old))
        unready_new = _size(new) - _available(new)
        spare = total - bounds.least - unready_new
        if spare <= 0:
            return
        sizes = {one["metadata"]["name"]: _size(one) for one in old}
        for one in old:
            unhealthy = min(spare, max(_size(one) - _available(one), 0))
            sizes[one["metadata"]["name"]] -= unhealthy
            spare -= unhealthy
        available = _available(new) + sum(map(_available, old))
        spare = max(min(spare, available - bounds.least), 0)
        for one in old:
            name = one["metadata"]["name"]
            less = min(spare, sizes[name])
            sizes[name] -= less
            spare -= less
            if sizes[name] != _size(one):
                await self._set_size(deployment, one, sizes[name], bounds)

    async def _forget_history(self, deployment: Json) -> None:
        limit = at(deployment, "spec", "revisionHistoryLimit", default=10)
        _, old = self._sets(deployment)
        idle = [one for one in old if not _size(one) and not at(one, "status", "replicas", default=0)]
        idle.sort(key=_revision)
        for one in idle[: max(len(idle) - limit, 0)]:
            await self._desk.delete(REPLICA_SETS, one)

    async def _report(self, deployment: Json, new: Json | None, old: list[Json]) -> float | None:
        live = self._desk.get(
            DEPLOYMENTS, (deployment["metadata"]["namespace"], deployment["metadata"]["name"])
        )
        if live is None:
            return None
        bounds, now = Bounds(live), self._desk.now()
        sets = [one for one in (new, *old) if one is not None]

        def count(name: str, among: list[Json]) -> int:
            return sum(at(one, "status", name, default=0) for one in among)

        total, available = count("replicas", sets), count("availableReplicas", sets)
        status: Json = {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": total,
            "updatedReplicas": count("replicas", [new] if new else []),
            "readyReplicas": count("readyReplicas", sets),
            "availableReplicas": available,
            "unavailableReplicas": max(sum(map(_size, sets)) - available, 0),
        }
        status = {name: value for name, value in status.items() if value}
        conditions = at(live, "status", "conditions", default=[])
        enough = available >= bounds.least
        conditions = with_condition(
            conditions,
            {
                "type": "Available",
                "status": "True" if enough else "False",
                "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
                "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
            },
            now,
            updated=True,
        )
        conditions, again = self._progress(live, status, conditions, new, bounds)
        failures = [found for one in sets if (found := condition(one, "ReplicaFailure"))]
        conditions = [one for one in conditions if one["type"] != "ReplicaFailure"]
        if failures:
            new_failure = {key: failures[0][key] for key in ("type", "status", "reason", "message")}
            conditions = with_condition(conditions, new_failure, now, updated=True)
        status["conditions"] = conditions
        await self._desk.set_status(DEPLOYMENTS, live, status)
        return again

    def _progress(
        self, live: Json, status: Json, conditions: list[Json], new: Json | None, bounds: Bounds
    ) -> tuple[list[Json], float | None]:
        """The condition Progressing, and when its deadline is."""
        now = self._desk.now()
        before = condition(live, "Progressing")
        name = new["metadata"]["name"] if new else ""
        if at(live, "spec", "paused"):
            if before is None or before["reason"] != "ProgressDeadlineExceeded":
                paused = {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}
                conditions = with_condition(
                    conditions, paused | {"message": "Deployment is paused"}, now, updated=True
                )
            return conditions, None
        updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
        available = status.get("availableReplicas", 0)
        complete = updated == total == available == bounds.replicas
        if complete:
            message = f'ReplicaSet "{name}" has successfully progressed.'
            done = {
                "type": "Progressing",
                "status": "True",
                "reason": "NewReplicaSetAvailable",
                "message": message,
            }
            return with_condition(conditions, done, now, updated=True), None
        was = live.get("status") or {}
        counts = ("updatedReplicas", "readyReplicas", "availableReplicas")
        moved = any(status.get(word, 0) > was.get(word, 0) for word in counts)
        fewer_old = total - updated < was.get("replicas", 0) - was.get("updatedReplicas", 0)
        restarted = (
            before is not None and before["reason"] == "NewReplicaSetAvailable" and updated < bounds.replicas
        )
        fresh = before is None or before["reason"] == "DeploymentPaused"
        if moved or fewer_old or restarted or fresh or name not in (before or {}).get("message", name):
            reason = "NewReplicaSetCreated" if fresh or restarted else "ReplicaSetUpdated"
            message = (
                f'Created new replica set "{name}"'
                if fresh or restarted
                else f'ReplicaSet "{name}" is progressing.'
            )
            going = {"type": "Progressing", "status": "True", "reason": reason, "message": message}
            kept = [one for one in conditions if one["type"] != "Progressing"]
            made = with_condition(kept, going, now, updated=True)
            if before is not None and before["status"] == "True":
                made[-1]["lastTransitionTime"] = before["lastTransitionTime"]
            return made, self._deadline(live, now)
        assert before is not None  # noqa: S101  # else it were fresh
        if before["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
            return conditions, None
        left = (
            moment(before["lastUpdateTime"]) + at(live, "spec", "progressDeadlineSeconds", default=600) - now
        )
        if left > 0:
            return conditions, left
        message = f'ReplicaSet "{name}" has timed out progressing.'
        late = {
            "type": "Progressing",
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "message": message,
        }
        return with_condition(conditions, late, now, updated=True), None

    def _deadline(self, live: Json, now: float) -> float:
        seconds: float = at(live, "spec", "progressDeadlineSeconds", default=600)
        return seconds + 0.01
