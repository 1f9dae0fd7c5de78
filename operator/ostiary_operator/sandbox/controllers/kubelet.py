"""What happens to a pod on its node: pulling, starting, becoming ready, ending.

How containers run is a `Runtime`: a model on any clock, or processes of this machine. A pod's annotations
say how the model behaves, so that a test or a simulation can have slow, broken and crashing versions.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ostiary_operator.sandbox.api.metadata import moment, timestamp
from ostiary_operator.sandbox.api.store import DELETED, Bucket, Event, Key
from ostiary_operator.sandbox.api.values import at
from ostiary_operator.sandbox.controllers.desk import PODS, Desk, with_condition

Json = dict[str, Any]

_PREFIX = "sandbox.ostiary.dev/"
PULL, LOAD, STOP, FAIL, EXIT, MESSAGE = (
    f"{_PREFIX}{word}"
    for word in ("pull-seconds", "load-seconds", "stop-seconds", "fail", "exit-code", "message")
)
_BACK_OFF = 10.0
_MOST_BACK_OFF = 300.0
_KILLED = 137
"""Exit code of a process that was ended by SIGKILL."""


@dataclass(frozen=True)
class Timings:
    """How long things take, in seconds, where a pod's annotations do not say."""

    pull: float = 2.0
    """An image that the node does not have yet."""
    load: float = 1.0
    """From the start of a container until it is ready."""
    stop: float = 0.5
    """From being told to end until it has ended."""


@dataclass(frozen=True)
class Condition:
    """What a runtime says of a pod's containers."""

    ready: bool = False
    exit_code: int | None = None
    """Set when they have ended."""
    message: str = ""
    """Of a container that has ended: what it left as its termination message."""
    look_again: float | None = None
    """Seconds after which this may be different."""


class Runtime(Protocol):
    """Runs the containers of pods."""

    def address(self, pod: Json) -> str:
        """An address for the pod."""
        ...

    async def start(self, pod: Json) -> None:
        """Starts its containers; ValueError, in words, where that cannot be."""
        ...

    async def look(self, pod: Json) -> Condition:
        """How they are."""
        ...

    async def stop(self, pod: Json, grace: float) -> float:
        """Tells them to end; seconds until they will have ended, 0 when they have."""
        ...

    def forget(self, uid: str) -> None:
        """Drops what is known of a pod that is gone."""
        ...


def _number(pod: Json, annotation: str, default: float) -> float:
    text = (pod["metadata"].get("annotations") or {}).get(annotation)
    try:
        return float(text) if text is not None else default
    except ValueError:
        return default


class ModelRuntime:
    """Containers that only take time."""

    def __init__(self, desk: Desk, timings: Timings) -> None:
        self._desk = desk
        self._timings = timings
        self._started: dict[str, float] = {}
        self._stopped: dict[str, float] = {}
        self._addresses = 0

    def address(self, pod: Json) -> str:
        """An address that is only a name."""
        self._addresses += 1
        return f"10.244.{self._addresses >> 8 & 255}.{self._addresses & 255}"

    async def start(self, pod: Json) -> None:
        """Starts the clock."""
        self._started[pod["metadata"]["uid"]] = self._desk.now()

    async def look(self, pod: Json) -> Condition:
        """Ready when it has loaded, unless its annotations say that it fails."""
        uid = pod["metadata"]["uid"]
        since = self._started.get(uid)
        if since is None:
            return Condition(exit_code=137)
        load = _number(pod, LOAD, self._timings.load)
        left = since + load - self._desk.now()
        if left > 1e-6:
            return Condition(look_again=left)
        failure = (pod["metadata"].get("annotations") or {}).get(FAIL)
        if failure == "crash":
            return Condition(exit_code=1)
        ends = pod["spec"].get("restartPolicy", "Always") != "Always"
        if ends and EXIT in (pod["metadata"].get("annotations") or {}):
            message = pod["metadata"]["annotations"].get(MESSAGE, "")
            return Condition(exit_code=round(_number(pod, EXIT, 1.0)), message=message)
        return Condition(ready=failure != "unready")

    async def stop(self, pod: Json, grace: float) -> float:
        """Takes its time, but not longer than it is given."""
        uid = pod["metadata"]["uid"]
        since = self._stopped.setdefault(uid, self._desk.now())
        left = since + min(_number(pod, STOP, self._timings.stop), grace) - self._desk.now()
        return max(left, 0.0) if left > 1e-6 else 0.0

    def forget(self, uid: str) -> None:
        """Drops a pod."""
        self._started.pop(uid, None)
        self._stopped.pop(uid, None)


@dataclass
class _Pod:
    stage: str = "new"
    since: float = 0.0
    restarts: int = 0
    last_exit: int | None = None
    message: str = ""
    began: float = 0.0
    ended: float = 0.0
    until: float = 0.0
    pulled: list[str] = field(default_factory=list)


class Kubelet:
    """All nodes' kubelets in one."""

    def __init__(self, desk: Desk, runtime: Runtime, timings: Timings) -> None:
        self._desk = desk
        self._runtime = runtime
        self._timings = timings
        self._pods: dict[str, _Pod] = {}
        self._images: set[tuple[str, str]] = set()

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """A pod that has a node."""
        if bucket != PODS:
            return ()
        if event.type == DELETED:
            uid = event.now.data["metadata"]["uid"]
            if self._pods.pop(uid, None) is not None:
                return ((uid, "gone"),)
            return ()
        return (event.key,) if at(event.now.data, "spec", "nodeName") else ()

    async def reconcile(self, key: Key) -> float | None:
        """The next step of the pod's life."""
        if key[1] == "gone" and self._desk.store.get(PODS, key) is None:
            await self._runtime.stop({"metadata": {"uid": key[0]}}, 0.0)
            self._runtime.forget(key[0])
            return None
        pod = self._desk.get(PODS, key)
        if pod is None or not at(pod, "spec", "nodeName"):
            return None
        state = self._pods.setdefault(pod["metadata"]["uid"], _Pod())
        if pod["metadata"].get("deletionTimestamp"):
            return await self._end(key, pod, state)
        if at(pod, "status", "phase") in ("Succeeded", "Failed"):
            return None
        steps = {"new": self._begin, "pulling": self._pull, "running": self._watch, "back-off": self._wait}
        return await steps[state.stage](pod, state)

    async def _begin(self, pod: Json, state: _Pod) -> float | None:
        node = pod["spec"]["nodeName"]
        images = [one["image"] for one in pod["spec"]["containers"]]
        missing = [image for image in images if (node, image) not in self._images]
        address = at(pod, "status", "podIP") or self._runtime.address(pod)
        restored = at(pod, "status", "containerStatuses", default=[])
        state.restarts = max(
            (one.get("restartCount", 0) + 1 for one in restored if one.get("started")), default=0
        )
        state.stage, state.since, state.pulled = "pulling", self._desk.now(), missing
        wait = max((_number(pod, PULL, self._timings.pull) for _ in missing), default=0.0)
        state.until = state.since + wait
        for image in missing:
            await self._desk.tell(pod, "Normal", "Pulling", f'Pulling image "{image}"')
        await self._report(pod, state, address=address)
        return wait

    async def _pull(self, pod: Json, state: _Pod) -> float | None:
        now = self._desk.now()
        if now < state.until:
            return state.until - now
        if (pod["metadata"].get("annotations") or {}).get(FAIL) == "image":
            image = pod["spec"]["containers"][0]["image"]
            await self._desk.tell(pod, "Warning", "Failed", f'Failed to pull image "{image}": not found')
            await self._report(pod, state, waiting="ImagePullBackOff")
            state.until = now + _BACK_OFF
            return _BACK_OFF
        node = pod["spec"]["nodeName"]
        for image in state.pulled:
            self._images.add((node, image))
            await self._desk.tell(pod, "Normal", "Pulled", f'Successfully pulled image "{image}"')
        return await self._start(pod, state)

    async def _start(self, pod: Json, state: _Pod) -> float | None:
        try:
            await self._runtime.start(pod)
        except ValueError as error:
            await self._desk.tell(pod, "Warning", "Failed", f"Error: {error}")
            state.stage, state.until = "back-off", self._desk.now() + _BACK_OFF
            await self._report(pod, state, waiting="CreateContainerError")
            return _BACK_OFF
        state.stage, state.since = "running", self._desk.now()
        for container in pod["spec"]["containers"]:
            await self._desk.tell(pod, "Normal", "Started", f"Started container {container['name']}")
        return await self._watch(pod, state)

    async def _watch(self, pod: Json, state: _Pod) -> float | None:
        found = await self._runtime.look(pod)
        if found.exit_code is None:
            await self._report(pod, state, ready=found.ready)
            return found.look_again
        state.last_exit, state.message = found.exit_code, found.message
        state.began, state.ended = state.since, self._desk.now()
        policy = pod["spec"].get("restartPolicy", "Always")
        if policy == "Never" or (policy == "OnFailure" and found.exit_code == 0):
            await self._report(pod, state, phase="Succeeded" if found.exit_code == 0 else "Failed")
            return None
        pause = min(_BACK_OFF * 2 ** min(state.restarts, 10), _MOST_BACK_OFF) if state.restarts else 0.0
        state.stage, state.until = "back-off", self._desk.now() + pause
        state.restarts += 1
        if pause:
            words = f"Back-off restarting failed container {pod['spec']['containers'][0]['name']}"
            await self._desk.tell(pod, "Warning", "BackOff", words)
        await self._report(pod, state, waiting="CrashLoopBackOff" if pause else "")
        return pause

    async def _wait(self, pod: Json, state: _Pod) -> float | None:
        left = state.until - self._desk.now()
        if left > 0:
            return left
        return await self._start(pod, state)

    async def _end(self, key: Key, pod: Json, state: _Pod) -> float | None:
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
        left = moment(pod["metadata"]["deletionTimestamp"]) - self._desk.now()
        if state.stage in ("running", "ending"):
            if state.stage == "running":
                state.stage = "ending"
                await self._desk.tell(pod, "Normal", "Killing", "Stopping container")
            wait = await self._runtime.stop(pod, max(min(grace, left), 0.0) if left > 0 else 0.0)
            if wait > 0:
                return wait
        stored = self._desk.store.get(PODS, key)
        if stored is not None and await self._is_told(stored.data, state):
            self._desk.finish(stored)
        return None

    async def _is_told(self, pod: Json, state: _Pod) -> bool:
        """Whether the pod's status says that it has ended, for those who hold it by a finalizer to see."""
        if not pod["metadata"].get("finalizers") or at(pod, "status", "phase") in ("Succeeded", "Failed"):
            return True
        state.last_exit, state.began, state.ended = _KILLED, state.since, self._desk.now()
        await self._report(pod, state, phase="Failed")
        return False

    async def _report(
        self, pod: Json, state: _Pod, *, ready: bool = False, waiting: str | None = None, phase: str = "",
        address: str = "",
    ) -> None:  # fmt: skip
        live = self._desk.get(PODS, (pod["metadata"]["namespace"], pod["metadata"]["name"]))
        if live is None:
            return
        before, now = live.get("status") or {}, self._desk.now()
        running = state.stage == "running" and not phase
        over = phase in ("Succeeded", "Failed")
        conditions = before.get("conditions") or []
        truths = {"Initialized": True, "PodScheduled": True, "ContainersReady": ready, "Ready": ready}
        for kind, true in truths.items():
            new = {"type": kind, "status": "True" if true else "False"}
            if not true:
                names = " ".join(one["name"] for one in pod["spec"]["containers"])
                new["reason"] = "PodCompleted" if over else "ContainersNotReady"
                new["message"] = f"containers with unready status: [{names}]"
            conditions = with_condition(conditions, new, now)
        status: Json = before | {
            "phase": phase or ("Running" if running or state.restarts else "Pending"),
            "conditions": conditions,
            "hostIP": "127.0.0.1",
            "hostIPs": [{"ip": "127.0.0.1"}],
            "startTime": before.get("startTime") or timestamp(now),
            "containerStatuses": [
                self._container(pod, one, state, ready=ready, waiting=waiting, over=over)
                for one in pod["spec"]["containers"]
            ],
        }
        if address:
            status |= {"podIP": address, "podIPs": [{"ip": address}]}
        await self._desk.set_status(PODS, live, status)

    def _container(
        self, pod: Json, container: Json, state: _Pod, *, ready: bool, waiting: str | None, over: bool
    ) -> Json:
        running = state.stage == "running" and waiting is None and not over
        if over:
            inner: Json = {"terminated": _terminated(state)}
        elif running:
            inner = {"running": {"startedAt": timestamp(state.since)}}
        else:
            inner = {"waiting": {"reason": waiting or "ContainerCreating"}}
        made: Json = {
            "name": container["name"],
            "image": container["image"],
            "imageID": f"sandbox://{container['image']}",
            "ready": ready,
            "restartCount": state.restarts,
            "started": running,
            "state": inner,
            "lastState": {},
        }
        if state.restarts and state.last_exit is not None:
            made["lastState"] = {"terminated": _terminated(state)}
        return made


def _terminated(state: _Pod) -> Json:
    code = state.last_exit or 0
    made: Json = {
        "exitCode": code,
        "reason": "Completed" if code == 0 else "Error",
        "startedAt": timestamp(state.began),
        "finishedAt": timestamp(state.ended),
    }
    return made | {"message": state.message} if state.message else made
