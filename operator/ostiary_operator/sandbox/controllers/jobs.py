"""Jobs: pods that run to their end, again where they fail, within a limit of failures and of time.

A pod is counted once: it has a finalizer until the Job's status says that it has ended, first by its uid and
then as a number.
"""

from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.metadata import moment, timestamp
from ostiary_operator.sandbox.api.request import Deletion
from ostiary_operator.sandbox.api.store import Bucket, Event, Key
from ostiary_operator.sandbox.api.values import at, copied
from ostiary_operator.sandbox.controllers.desk import (
    JOBS,
    PODS,
    Desk,
    controller_of,
    is_over,
    is_ready,
    is_true,
    owner_key,
    owner_reference,
    with_condition,
)
from ostiary_operator.sandbox.controllers.pod_failures import ruled

Json = dict[str, Any]
_TRACKED = "batch.kubernetes.io/job-tracking"
_ORPHAN = "orphan:"
_FIRST_REST, _LONGEST_REST = 10.0, 360.0
_KEPT_ZERO = ("uncountedTerminatedPods", "terminating", "ready")


class Jobs:
    """Makes the pods of Jobs, counts those that have ended, and says when a Job is over."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """The Job itself, the one that a pod belongs to, and a pod that has lost its Job."""
        if bucket == JOBS:
            return (event.key,)
        if bucket != PODS:
            return ()
        pod = event.now.data
        if _is_tracked(pod) and controller_of(pod) is None:
            return ((event.key[0], f"{_ORPHAN}{event.key[1]}"),)
        return owner_key(pod, "Job")

    async def reconcile(self, key: Key) -> float | None:
        """The next step; in how many seconds something may be different without anything having changed."""
        if key[1].startswith(_ORPHAN):
            orphan = self._desk.get(PODS, (key[0], key[1].removeprefix(_ORPHAN)))
            await self._release([orphan] if orphan is not None else [])
            return None
        job = self._desk.get(JOBS, key)
        if job is None:
            pods = self._desk.store.objects(PODS, key[0])
            await self._release([pod for pod in pods if owner_key(pod, "Job") == [key]])
            return None
        pods = self._desk.owned(PODS, job)
        if is_true(job, "Complete") or is_true(job, "Failed"):
            await self._release(pods)
            return await self._outlived(job)
        if job["metadata"].get("deletionTimestamp"):
            await self._release(pods)
            return None
        return await _Look(self._desk, job, pods).take()

    async def _release(self, pods: list[Json]) -> None:
        for pod in pods:
            await untracked(self._desk, pod)

    async def _outlived(self, job: Json) -> float | None:
        """Removes a Job that has been over for as long as it is to be kept."""
        kept = at(job, "spec", "ttlSecondsAfterFinished")
        if kept is None:
            return None
        over = next(one for one in job["status"]["conditions"] if one["type"] in ("Complete", "Failed"))
        left: float = moment(over["lastTransitionTime"]) + kept - self._desk.now()
        if left > 0:
            return left
        await self._desk.delete(JOBS, job, Deletion(policy="Foreground", uid=job["metadata"]["uid"]))
        return None


class _Look:
    """One look at a Job that is not over."""

    def __init__(self, desk: Desk, job: Json, pods: list[Json]) -> None:
        self._desk = desk
        self._job = job
        self._spec = job["spec"]
        self._status: Json = copied(job.get("status") or {})
        self._now = desk.now()
        self._pods = pods
        self._open = [pod for pod in pods if not self._ended(pod)]
        self._active = [pod for pod in self._open if not pod["metadata"].get("deletionTimestamp")]

    def _ended(self, pod: Json) -> bool:
        """Whether the pod will never run again: one that is being deleted counts as failed only at its end
        where failures are ruled.
        """
        going = bool(pod["metadata"].get("deletionTimestamp"))
        at_once = self._spec.get("podReplacementPolicy") != "Failed" or not at(pod, "spec", "nodeName")
        return is_over(pod) or (going and at_once)

    async def take(self) -> float | None:
        suspended = bool(self._spec.get("suspend"))
        self._begin(suspended)
        leaving = self._count()
        failure = self._failure()
        again: float | None = None
        if suspended:
            await self._end(self._active)
        elif failure:
            await self._end(self._active)
            self._conclude("FailureTarget", "Failed", *failure)
        elif self._number("succeeded") >= self._spec["completions"]:
            await self._end(self._active)
            words = "Reached expected number of succeeded pods"
            self._conclude("SuccessCriteriaMet", "Complete", "CompletionsReached", words)
        else:
            again = await self._make()
        self._sum_up()
        await self._desk.set_status(JOBS, self._job, self._status)
        for pod in leaving:
            await untracked(self._desk, pod)
        return again

    def _begin(self, suspended: bool) -> None:
        status = self._status
        if suspended:
            status.pop("startTime", None)
            self._say("Suspended", "JobSuspended", "Job suspended")
        elif "startTime" not in status:
            status["startTime"] = timestamp(self._now)
            if is_true(self._job, "Suspended"):
                self._say("Suspended", "JobResumed", "Job resumed", holds=False)

    def _count(self) -> list[Json]:
        """Puts down who has ended; the pods that may go afterwards."""
        there = {pod["metadata"]["uid"]: pod for pod in self._pods if _is_tracked(pod)}
        uncounted: Json = self._status.get("uncountedTerminatedPods") or {}
        for word in ("succeeded", "failed"):
            done = [uid for uid in uncounted.get(word, ()) if uid not in there]
            self._status[word] = self._status.get(word, 0) + len(done)
            uncounted[word] = [uid for uid in uncounted.get(word, ()) if uid in there]
        leaving = []
        for uid, pod in there.items():
            if not self._ended(pod):
                continue
            leaving.append(pod)
            word = "succeeded" if at(pod, "status", "phase") == "Succeeded" else "failed"
            ignored = word == "failed" and ruled(self._spec, pod)[0] == "Ignore"
            if uid not in uncounted[word] and not ignored:
                uncounted[word].append(uid)
        self._status["uncountedTerminatedPods"] = {word: uids for word, uids in uncounted.items() if uids}
        return leaving

    def _number(self, word: str) -> int:
        uncounted = self._status.get("uncountedTerminatedPods") or {}
        return int(self._status.get(word, 0)) + len(uncounted.get(word, ()))

    def _failure(self) -> tuple[str, str] | None:
        """Why the Job has failed: reason and words. One that was said stays."""
        for one in self._status.get("conditions") or ():
            if one["type"] == "FailureTarget":
                return one["reason"], one["message"]
        for pod in self._pods:
            if is_over(pod) and at(pod, "status", "phase") == "Failed":
                action, words = ruled(self._spec, pod)
                if action == "FailJob":
                    return "PodFailurePolicy", words
        if self._number("failed") + self._restarts() > self._spec["backoffLimit"]:
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        if self._left() <= 0:
            return "DeadlineExceeded", "Job was active longer than specified deadline"
        return None

    def _restarts(self) -> int:
        """Containers that were started again in their pods."""
        if at(self._spec, "template", "spec", "restartPolicy") != "OnFailure":
            return 0
        states = [one for pod in self._open for one in at(pod, "status", "containerStatuses", default=())]
        return sum(one.get("restartCount", 0) for one in states)

    def _left(self) -> float:
        """Seconds until the Job's time is over."""
        limit, since = self._spec.get("activeDeadlineSeconds"), self._status.get("startTime")
        if limit is None or since is None:
            return float("inf")
        return moment(since) + float(limit) - self._now

    async def _end(self, pods: list[Json]) -> None:
        for pod in pods:
            await self._desk.delete(PODS, pod)
            words = f"Deleted pod: {pod['metadata']['name']}"
            await self._desk.tell(self._job, "Normal", "SuccessfulDelete", words)
        self._active = []
        there = [self._as_it_is(pod) for pod in self._open]
        self._open = [pod for pod in there if pod is not None and not self._ended(pod)]

    def _as_it_is(self, pod: Json) -> Json | None:
        metadata = pod["metadata"]
        return self._desk.get(PODS, (metadata["namespace"], metadata["name"]))

    async def _make(self) -> float | None:
        """As many pods as may run beside each other; in how many seconds the next look is due."""
        left = self._spec["completions"] - self._number("succeeded")
        counted = self._open if self._spec.get("podReplacementPolicy") == "Failed" else self._active
        missing = min(self._spec["parallelism"], left) - len(counted)
        rest = self._rest() if missing > 0 else 0.0
        if rest <= 0:
            for _ in range(missing):
                pod = await self._desk.create(PODS, self._job["metadata"]["namespace"], self._pod())
                self._active.append(pod)
                self._open.append(pod)
                words = f"Created pod: {pod['metadata']['name']}"
                await self._desk.tell(self._job, "Normal", "SuccessfulCreate", words)
        waits = [wait for wait in (rest, self._left()) if 0 < wait < float("inf")]
        return min(waits, default=None)

    def _rest(self) -> float:
        """Seconds until a pod may follow those that have failed: longer with each of them."""
        failures = self._number("failed")
        if not failures:
            return 0.0
        ends = [_ended_at(pod) for pod in self._pods if at(pod, "status", "phase") == "Failed"]
        pause = min(_LONGEST_REST, _FIRST_REST * 2.0 ** min(failures - 1, 10))
        return float(max(ends, default=0.0)) + pause - self._now

    def _pod(self) -> Json:
        template = copied(self._spec["template"])
        metadata = template.get("metadata") or {}
        metadata["generateName"] = f"{self._job['metadata']['name']}-"
        metadata["ownerReferences"] = [owner_reference(self._job)]
        metadata["finalizers"] = [*(metadata.get("finalizers") or ()), _TRACKED]
        metadata.pop("name", None)
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

    def _conclude(self, begun: str, done: str, reason: str, words: str) -> None:
        """Over once no pod of it is left running: until then it is only said to come."""
        self._say(begun, reason, words)
        if self._open or self._status["uncountedTerminatedPods"]:
            return
        self._say(done, reason, words)
        if done == "Complete":
            self._status["completionTime"] = timestamp(self._now)

    def _say(self, kind: str, reason: str, words: str, *, holds: bool = True) -> None:
        new = {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": words}
        before = self._status.get("conditions") or []
        made = with_condition(before, new, self._now)
        old: Json = next((one for one in before if one["type"] == kind), {})
        made[-1]["lastProbeTime"] = old.get("lastProbeTime") or timestamp(self._now)
        self._status["conditions"] = made

    def _sum_up(self) -> None:
        going = [pod for pod in self._open if pod["metadata"].get("deletionTimestamp")]
        self._status |= {
            "active": len(self._active),
            "terminating": len(going),
            "ready": sum(map(is_ready, self._active)),
        }
        kept = {name: value for name, value in self._status.items() if value or name in _KEPT_ZERO}
        self._status = kept


def _is_tracked(pod: Json) -> bool:
    return _TRACKED in (pod["metadata"].get("finalizers") or ())


def _ended_at(pod: Json) -> float:
    states = [one.get("state") or {} for one in at(pod, "status", "containerStatuses", default=())]
    ends = [one["terminated"].get("finishedAt") for one in states if "terminated" in one]
    return max((moment(end) for end in ends if end), default=0.0)


async def untracked(desk: Desk, pod: Json) -> None:
    """Takes the finalizer off a pod that has been counted, or whose Job is over."""
    if not _is_tracked(pod):
        return

    def change(old: Json) -> Json:
        kept = [one for one in old["metadata"].get("finalizers") or () if one != _TRACKED]
        return old | {"metadata": old["metadata"] | {"finalizers": kept}}

    await desk.change(PODS, pod, change)
