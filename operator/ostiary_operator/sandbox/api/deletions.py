"""Deleting: at once, after a grace period, or when the last finalizer is gone."""

from typing import Any

from ostiary_operator.sandbox.api import status
from ostiary_operator.sandbox.api.admission import Attempt
from ostiary_operator.sandbox.api.metadata import timestamp
from ostiary_operator.sandbox.api.operations import Operations
from ostiary_operator.sandbox.api.request import Caller, Deletion
from ostiary_operator.sandbox.api.resources import Resource
from ostiary_operator.sandbox.api.selectors import of_object
from ostiary_operator.sandbox.api.store import RacedError, Stored
from ostiary_operator.sandbox.api.values import at

Json = dict[str, Any]

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_RETURN_THE_OBJECT = frozenset(("pods", "services", "serviceaccounts", "resourcequotas"))


def success(resource: Resource, name: str, uid: str) -> Json:
    """The Status object of a deletion that is done."""
    details = {"name": name, "kind": resource.plural, "uid": uid}
    if resource.group:
        details = {"name": name, "group": resource.group, "kind": resource.plural, "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


class Deletions:
    """Deletes objects, and evicts pods where their budgets allow it."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._store = operations.store
        operations.remove_if_done = self._remove_if_done

    async def delete(
        self, resource: Resource, namespace: str, name: str, deletion: Deletion, caller: Caller
    ) -> tuple[Json, bool]:
        """What is answered, and whether the object is gone."""
        for _ in range(5):
            stored = self._operations.stored(resource, namespace, name)
            self._check_preconditions(resource, stored.data, deletion)
            attempt = Attempt(resource, "DELETE", "", None, stored.data, caller, deletion.dry_run)
            await self._operations.admission.validate(attempt)
            try:
                return self._delete(resource, stored, deletion)
            except RacedError:
                continue
        raise status.conflict(resource.group, resource.plural, name)

    def _check_preconditions(self, resource: Resource, obj: Json, deletion: Deletion) -> None:
        metadata = obj["metadata"]
        pairs = (
            ("UID", deletion.uid, metadata["uid"], "UID"),
            ("ResourceVersion", deletion.resource_version, metadata["resourceVersion"], "ResourceVersion"),
        )
        for word, wanted, found, meta in pairs:
            if wanted and wanted != found:
                why = f"Precondition failed: {word} in precondition: {wanted}, {meta} in object meta: {found}"
                raise status.conflict(resource.group, resource.plural, metadata["name"], why)

    def _delete(self, resource: Resource, stored: Stored, deletion: Deletion) -> tuple[Json, bool]:
        metadata = stored.data["metadata"]
        # For as long as there has been batch/v1: who deletes a Job without a word leaves its pods.
        policy = deletion.policy or ("Orphan" if resource.bucket == "jobs.batch" else "")
        finalizers = _finalizers(metadata.get("finalizers") or [], policy)
        grace = self._grace(resource, stored.data, deletion)
        waits = bool(finalizers) or grace > 0 or self._is_full_namespace(resource, stored.data)
        key = (metadata.get("namespace", ""), metadata["name"])
        if deletion.dry_run:
            return self._answer(resource, stored.data, gone=not waits), not waits
        if not waits:
            last = self._store.remove(resource.bucket, key, stored)
            return self._answer(resource, last.data, gone=True), True
        obj = self._marked(resource, stored.data, finalizers, grace)
        if obj == stored.data:
            return self._operations.shown(resource, stored), False
        kept = self._store.put(resource.bucket, key, obj, stored)
        return self._operations.shown(resource, kept), False

    def _answer(self, resource: Resource, obj: Json, *, gone: bool) -> Json:
        if gone and (resource.custom is not None or resource.plural not in _RETURN_THE_OBJECT):
            return success(resource, obj["metadata"]["name"], obj["metadata"]["uid"])
        return obj

    def _grace(self, resource: Resource, obj: Json, deletion: Deletion) -> int:
        if resource.bucket != "pods.":
            return 0
        if not at(obj, "spec", "nodeName") or at(obj, "status", "phase") in ("Succeeded", "Failed"):
            return 0
        grace: int = at(obj, "spec", "terminationGracePeriodSeconds", default=30)
        if deletion.grace is not None:
            grace = deletion.grace
        before = obj["metadata"].get("deletionGracePeriodSeconds")
        return grace if before is None else min(grace, before)

    def _is_full_namespace(self, resource: Resource, obj: Json) -> bool:
        return resource.bucket == "namespaces." and bool(at(obj, "spec", "finalizers"))

    def _marked(self, resource: Resource, obj: Json, finalizers: list[str], grace: int) -> Json:
        metadata = dict(obj["metadata"])
        if "deletionTimestamp" not in metadata or grace < metadata.get("deletionGracePeriodSeconds", 0):
            now = self._operations.clock.now()
            if "deletionTimestamp" not in metadata and "generation" in metadata:
                metadata["generation"] += 1
            metadata["deletionTimestamp"] = timestamp(now + grace)
            metadata["deletionGracePeriodSeconds"] = grace
        if finalizers:
            metadata["finalizers"] = finalizers
        else:
            metadata.pop("finalizers", None)
        made = obj | {"metadata": metadata}
        if resource.bucket == "namespaces.":
            made["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
            metadata.pop("deletionGracePeriodSeconds", None)
        return made

    def _remove_if_done(self, resource: Resource, stored: Stored) -> Stored:
        """Removes an object that was only waiting for its finalizers."""
        metadata = stored.data["metadata"]
        if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
            return stored
        if metadata.get("deletionGracePeriodSeconds", 0) > 0 or self._is_full_namespace(
            resource, stored.data
        ):
            return stored
        return self._store.remove(resource.bucket, (metadata.get("namespace", ""), metadata["name"]), stored)

    def finish(self, resource: Resource, stored: Stored) -> None:
        """Removes a pod that has stopped, unless finalizers hold it; RacedError where it was changed."""
        metadata = stored.data["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        if metadata.get("finalizers"):
            obj = stored.data | {"metadata": metadata | {"deletionGracePeriodSeconds": 0}}
            if metadata.get("deletionGracePeriodSeconds") != 0:
                self._store.put(resource.bucket, key, obj, stored)
            return
        self._store.remove(resource.bucket, key, stored)

    async def evict(self, pods: Resource, namespace: str, name: str, body: Json, caller: Caller) -> Json:
        """Deletes a pod unless a disruption budget is against it (429)."""
        pod = self._operations.stored(pods, namespace, name).data
        options = body.get("deleteOptions") or {}
        if at(pod, "status", "phase") not in ("Succeeded", "Failed", "Pending"):
            self._spend_budget(namespace, pod, dry_run=bool(options.get("dryRun")))
        if not options.get("dryRun"):
            self._disrupt(pods, namespace, name)
        await self.delete(pods, namespace, name, Deletion.of(options, {}), caller)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _disrupt(self, pods: Resource, namespace: str, name: str) -> None:
        """Says in the pod's status that it did not fail by itself."""
        stored = self._operations.stored(pods, namespace, name)
        state = stored.data.get("status") or {}
        words = "Eviction API: evicting"
        told = {
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": words,
            "lastTransitionTime": timestamp(self._operations.clock.now()),
        }  # fmt: skip
        others = [one for one in state.get("conditions") or () if one["type"] != told["type"]]
        made = stored.data | {"status": state | {"conditions": [*others, told]}}
        self._store.put(pods.bucket, (namespace, name), made, stored)

    def _spend_budget(self, namespace: str, pod: Json, *, dry_run: bool) -> None:
        bucket = "poddisruptionbudgets.policy"
        concerned = []
        for key, stored in self._store.items(bucket, namespace):
            selector = of_object(at(stored.data, "spec", "selector"))
            if selector is not None and selector.matches(pod["metadata"].get("labels")):
                concerned.append((key, stored))
        if len(concerned) > 1:
            why = "which the eviction subresource does not support."
            raise status.ApiError(
                500, "InternalError", f"This pod has more than one PodDisruptionBudget, {why}"
            )
        for key, stored in concerned:
            budget = stored.data
            state = budget.get("status") or {}
            if state.get("observedGeneration", 0) < budget["metadata"].get("generation", 1):
                raise self._over_budget(budget, "is still being processed by the server.")
            allowed = state.get("disruptionsAllowed", 0)
            if allowed <= 0:
                needs, has = state.get("desiredHealthy", 0), state.get("currentHealthy", 0)
                raise self._over_budget(budget, f"needs {needs} healthy pods and has {has} currently")
            if dry_run:
                return
            disrupted = {**(state.get("disruptedPods") or {})}
            disrupted[pod["metadata"]["name"]] = timestamp(self._operations.clock.now())
            made = {**state, "disruptionsAllowed": allowed - 1, "disruptedPods": disrupted}
            metadata = dict(budget["metadata"])
            self._store.put(bucket, key, budget | {"status": made, "metadata": metadata}, stored)

    def _over_budget(self, budget: Json, why: str) -> status.ApiError:
        message = f"The disruption budget {budget['metadata']['name']} {why}"
        causes = [{"reason": "DisruptionBudget", "message": message}]
        words = "Cannot evict pod as it would violate the pod's disruption budget."
        return status.too_many_requests(words, None, {"causes": causes})


def _finalizers(present: list[str], policy: str) -> list[str]:
    kept = [one for one in present if one not in (FOREGROUND, ORPHAN)] if policy else list(present)
    wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy, [])
    return kept + wanted
