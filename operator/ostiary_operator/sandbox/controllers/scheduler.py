"""Which node a pod goes to: one that it may run on, has room for it, and is the emptiest."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.metadata import timestamp
from ostiary_operator.sandbox.api.selectors import Requirement, of_object
from ostiary_operator.sandbox.api.store import DELETED, Bucket, Event, Key
from ostiary_operator.sandbox.api.values import at, quantity
from ostiary_operator.sandbox.controllers.desk import NODES, PODS, Desk, is_over, is_true, with_condition

Json = dict[str, Any]
Amounts = dict[str, float]
_VERSION = "v1.34.0+ostiary"


def requested(pod: Json) -> Amounts:
    """What a pod takes of a node."""
    amounts: Amounts = {"pods": 1.0}
    for container in at(pod, "spec", "containers", default=[]):
        for name, value in at(container, "resources", "requests", default={}).items():
            amounts[name] = amounts.get(name, 0.0) + quantity(value)
    return amounts


def tolerated(pod: Json, taint: Json) -> bool:
    """Whether a pod puts up with a taint."""
    for one in at(pod, "spec", "tolerations", default=[]):
        if one.get("effect") not in (None, "", taint["effect"]):
            continue
        if one.get("operator", "Equal") == "Exists":
            if one.get("key") in (None, "", taint["key"]):
                return True
        elif one.get("key") == taint["key"] and one.get("value", "") == taint.get("value", ""):
            return True
    return False


def _affine(pod: Json, node: Json) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in at(pod, "spec", "nodeSelector", default={}).items()):
        return False
    word = "requiredDuringSchedulingIgnoredDuringExecution"
    required = at(pod, "spec", "affinity", "nodeAffinity", word)
    if required is None:
        return True
    return any(_term_matches(term, node, labels) for term in required.get("nodeSelectorTerms") or ())


def _term_matches(term: Json, node: Json, labels: dict[str, str]) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    named = {"metadata.name": node["metadata"]["name"]}
    met = [_requirement(one).matches(labels) for one in expressions]
    met += [_requirement(one).matches(named) for one in fields]
    return bool(met) and all(met)


def _requirement(one: Json) -> Requirement:
    return Requirement(one["key"], one["operator"], tuple(one.get("values") or ()))


class Scheduler:
    """Binds pods to nodes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """A pod without a node; all such pods when a node changed or a pod made room."""
        if bucket == PODS:
            waiting = event.type != DELETED and _waits(event.now.data)
            if waiting and (event.before is None or event.before.data["spec"] != event.now.data["spec"]):
                return (event.key,)
            freed = event.type == DELETED or is_over(event.now.data)
            return self._waiting() if freed else ()
        return self._waiting() if bucket == NODES else ()

    def _waiting(self) -> list[Key]:
        return [key for key, stored in self._desk.store.items(PODS) if _waits(stored.data)]

    async def reconcile(self, key: Key) -> float | None:
        """Binds the pod, or says why that is not possible."""
        pod = self._desk.get(PODS, key)
        if pod is None or not _waits(pod):
            return None
        nodes = self._desk.store.objects(NODES)
        reasons: Counter[str] = Counter()
        fitting = []
        used = self._used()
        for node in nodes:
            why = self._why_not(pod, node, used.get(node["metadata"]["name"], {}))
            if why:
                reasons[why] += 1
            else:
                fitting.append(node)
        fitting = self._spread(pod, fitting, reasons)
        if not fitting:
            await self._refuse(pod, len(nodes), reasons)
            return None
        best = min(fitting, key=lambda node: (self._load(pod, node, used), node["metadata"]["name"]))
        name = best["metadata"]["name"]
        await self._desk.change(PODS, pod, lambda live: live | {"spec": live["spec"] | {"nodeName": name}})
        done = {"type": "PodScheduled", "status": "True"}
        await self._condition(pod, done)
        words = f"Successfully assigned {key[0]}/{key[1]} to {name}"
        await self._desk.tell(pod, "Normal", "Scheduled", words)
        return None

    def _used(self) -> dict[str, Amounts]:
        used: dict[str, Amounts] = {}
        for pod in self._desk.store.objects(PODS):
            name = at(pod, "spec", "nodeName")
            if name and not is_over(pod):
                amounts = used.setdefault(name, {})
                for resource, amount in requested(pod).items():
                    amounts[resource] = amounts.get(resource, 0.0) + amount
        return used

    def _why_not(self, pod: Json, node: Json, used: Amounts) -> str:
        if at(node, "spec", "unschedulable") and not tolerated(
            pod, {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        ):
            return "node(s) were unschedulable"
        if not is_true(node, "Ready"):
            return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
        for taint in at(node, "spec", "taints", default=[]):
            if taint["effect"] in ("NoSchedule", "NoExecute") and not tolerated(pod, taint):
                return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        if not _affine(pod, node):
            return "node(s) didn't match Pod's node affinity/selector"
        room = at(node, "status", "allocatable", default=at(node, "status", "capacity", default={}))
        for name, amount in requested(pod).items():
            if used.get(name, 0.0) + amount > quantity(room.get(name, "110" if name == "pods" else 0)):
                return "Too many pods" if name == "pods" else f"Insufficient {name}"
        return ""

    def _spread(self, pod: Json, nodes: list[Json], reasons: Counter[str]) -> list[Json]:
        """Drops nodes on which the pod would stand too unevenly."""
        for rule in at(pod, "spec", "topologySpreadConstraints", default=[]):
            if rule.get("whenUnsatisfiable", "DoNotSchedule") != "DoNotSchedule":
                continue
            key, selector = rule["topologyKey"], of_object(rule.get("labelSelector"))
            places = {
                node["metadata"]["name"]: value
                for node in self._desk.store.objects(NODES)
                if (value := (node["metadata"].get("labels") or {}).get(key)) is not None
                and _affine(pod, node)
            }
            counts = Counter(dict.fromkeys(places.values(), 0))
            for other in self._desk.store.objects(PODS, pod["metadata"]["namespace"]):
                place = places.get(at(other, "spec", "nodeName", default=""))
                if place is None or other["metadata"].get("deletionTimestamp") or is_over(other):
                    continue
                if selector is not None and selector.matches(other["metadata"].get("labels")):
                    counts[place] += 1
            least = min(counts.values(), default=0)
            kept = [
                node
                for node in nodes
                if (place := places.get(node["metadata"]["name"])) is not None
                and counts[place] + 1 - least <= rule["maxSkew"]
            ]
            if len(kept) < len(nodes):
                reasons["node(s) didn't match pod topology spread constraints"] += len(nodes) - len(kept)
            nodes = kept
        return nodes

    def _load(self, pod: Json, node: Json, used: dict[str, Amounts]) -> float:
        """How full a node would be with the pod, the fullest of its resources counting."""
        room = at(node, "status", "allocatable", default={})
        have = used.get(node["metadata"]["name"], {})
        shares = [
            (have.get(name, 0.0) + amount) / limit
            for name, amount in requested(pod).items()
            if (limit := quantity(room.get(name, 0)))
        ]
        return max(shares, default=0.0)

    async def _refuse(self, pod: Json, count: int, reasons: Counter[str]) -> None:
        words = ", ".join(f"{number} {why}" for why, number in sorted(reasons.items()))
        message = (
            f"0/{count} nodes are available: {words}." if count else "no nodes available to schedule pods"
        )
        new = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        if await self._condition(pod, new):
            await self._desk.tell(pod, "Warning", "FailedScheduling", message)

    async def _condition(self, pod: Json, new: Json) -> bool:
        live = self._desk.get(PODS, (pod["metadata"]["namespace"], pod["metadata"]["name"]))
        if live is None:
            return False
        status = live.get("status") or {}
        conditions = with_condition(status.get("conditions") or [], new, self._desk.now())
        before = {one["type"]: one for one in status.get("conditions") or ()}.get(new["type"], {})
        if all(before.get(key) == value for key, value in new.items()):
            return False
        await self._desk.set_status(PODS, live, status | {"conditions": conditions})
        return True


def _waits(pod: Json) -> bool:
    spec = pod.get("spec") or {}
    return not (
        spec.get("nodeName")
        or pod["metadata"].get("deletionTimestamp")
        or spec.get("schedulingGates")
        or spec.get("schedulerName", "default-scheduler") != "default-scheduler"
    )


def new_node(
    name: str,
    *,
    cpu: str = "16",
    memory: str = "64Gi",
    gpus: int = 0,
    pods: int = 110,
    **labels: str,
) -> Json:
    """A node object, ready, with so many GPUs."""
    room = {"cpu": cpu, "memory": memory, "pods": str(pods)} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    stamp = timestamp(0.0)
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": stamp,
    }
    own = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    given = {key.replace("__", "/"): value for key, value in labels.items()}
    taints = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}] if gpus else []
    versions = {
        "kubeletVersion": _VERSION,
        "kubeProxyVersion": _VERSION,
        "containerRuntimeVersion": "sandbox://1",
    }
    unsaid = dict.fromkeys(("bootID", "kernelVersion", "machineID", "systemUUID"), "")
    system = {"architecture": "amd64", "operatingSystem": "linux", "osImage": "sandbox"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": own | given},
        "spec": {"taints": taints} if taints else {},
        "status": {
            "capacity": room,
            "allocatable": dict(room),
            "conditions": [ready],
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": "127.0.0.1"},
            ],
            "nodeInfo": versions | unsaid | system,
        },
    }
