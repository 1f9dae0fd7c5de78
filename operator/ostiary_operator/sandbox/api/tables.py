"""Objects as rows with columns, which is what `kubectl get` asks for."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from ostiary_operator.sandbox.api.conversion import converted
from ostiary_operator.sandbox.api.metadata import moment
from ostiary_operator.sandbox.api.resources import CORE_EVENTS, EVENTS, SCALE, Resource
from ostiary_operator.sandbox.api.selectors import as_query
from ostiary_operator.sandbox.api.values import at

Json = dict[str, Any]
Cell = Callable[[Json, float], Any]


class Column:
    """One column: what it is called and what stands in it."""

    def __init__(
        self,
        name: str,
        cell: Cell,
        kind: str = "string",
        wide: bool = False,
        form: str = "",
        description: str = "",
    ) -> None:
        self.cell = cell
        self.definition = {
            "name": name,
            "type": kind,
            "format": form,
            "description": description or f"{name} of the object",
            "priority": 1 if wide else 0,
        }


def age(then: str | None, now: float) -> str:
    """How long ago something was, as kubectl says it."""
    if not then:
        return "<unknown>"
    return duration(now - moment(then))


def duration(seconds: float) -> str:
    """A duration in two units at most."""
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 120:
        return f"{max(s, 0)}s"
    minutes, hours, days = s // 60, s // 3600, s // 86400
    if minutes < 10:
        return f"{minutes}m{s % 60}s" if s % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    return f"{days // 365}y{days % 365}d" if days < 8 * 365 else f"{days // 365}y"


_NAME = Column(
    "Name",
    lambda obj, _: obj["metadata"]["name"],
    form="name",
    description="Name must be unique within a namespace.",
)
_AGE = Column("Age", lambda obj, now: age(obj["metadata"].get("creationTimestamp"), now))


def _of(*path: str, default: Any = "") -> Cell:
    return lambda obj, _: at(obj, *path, default=default)


def _containers(word: str) -> Cell:
    def cell(obj: Json, _: float) -> str:
        spec = at(obj, "spec", "template", "spec", default={})
        return ",".join(one.get(word, "") for one in spec.get("containers") or ())

    return cell


def _selector(obj: Json, _: float) -> str:
    return as_query(at(obj, "spec", "selector")) or "<none>"


def _pod_ready(pod: Json, _: float) -> str:
    states = at(pod, "status", "containerStatuses", default=[])
    return f"{sum(bool(one.get('ready')) for one in states)}/{len(at(pod, 'spec', 'containers', default=[]))}"


def _pod_status(pod: Json, _: float) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for one in at(pod, "status", "containerStatuses", default=[]):
        state = one.get("state") or {}
        for word in ("waiting", "terminated"):
            if reason := (state.get(word) or {}).get("reason"):
                return str(reason)
    return str(at(pod, "status", "reason", default=at(pod, "status", "phase", default="Unknown")))


def _pod_restarts(pod: Json, _: float) -> str:
    return str(sum(one.get("restartCount", 0) for one in at(pod, "status", "containerStatuses", default=[])))


def _node_status(node: Json, _: float) -> str:
    conditions = at(node, "status", "conditions", default=[])
    ready = next((one["status"] for one in conditions if one["type"] == "Ready"), "Unknown")
    word = {"True": "Ready", "False": "NotReady"}.get(ready, "Unknown")
    return f"{word},SchedulingDisabled" if at(node, "spec", "unschedulable") else word


def _roles(node: Json, _: float) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))) or "<none>"


def _ports(service: Json, _: float) -> str:
    ports = at(service, "spec", "ports", default=[])
    return ",".join(f"{one['port']}/{one.get('protocol', 'TCP')}" for one in ports) or "<none>"


def _slice_ports(one: Json, _: float) -> str:
    return ",".join(str(port.get("port")) for port in one.get("ports") or ()) or "<unset>"


def _slice_endpoints(one: Json, _: float) -> str:
    addresses = [address for endpoint in one.get("endpoints") or () for address in endpoint["addresses"]]
    return (
        ",".join(addresses[:3]) + (f" + {len(addresses) - 3} more..." if len(addresses) > 3 else "")
        or "<unset>"
    )


def _quota(word: str) -> Cell:
    def cell(quota: Json, _: float) -> str:
        hard, used = at(quota, "status", "hard", default={}), at(quota, "status", "used", default={})
        names = [name for name in sorted(hard) if name.startswith("limits.") == (word == "limits")]
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return cell


def _rollout(obj: Json, _: float) -> str:
    return f"{at(obj, 'status', 'readyReplicas', default=0)}/{at(obj, 'spec', 'replicas', default=0)}"


def _job_status(job: Json, _: float) -> str:
    holds = {one["type"] for one in at(job, "status", "conditions", default=[]) if one["status"] == "True"}
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if kind in holds:
            return kind
    return "Running"


def _job_completions(job: Json, _: float) -> str:
    return f"{at(job, 'status', 'succeeded', default=0)}/{at(job, 'spec', 'completions', default=1)}"


def _job_duration(job: Json, now: float) -> str:
    began, ended = at(job, "status", "startTime"), at(job, "status", "completionTime")
    if began is None:
        return ""
    return duration((moment(ended) if ended else now) - moment(began))


def _event_object(event: Json, _: float) -> str:
    involved = event.get("involvedObject") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _event_seen(event: Json, now: float) -> str:
    seen = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return age(seen, now)


_INTEGER = "integer"
_PDB = ("spec", "minAvailable"), ("spec", "maxUnavailable")

COLUMNS: dict[str, list[Column]] = {
    SCALE.bucket: [
        _NAME,
        Column("Desired", _of("spec", "replicas", default=0), _INTEGER),
        Column("Available", _of("status", "replicas", default=0), _INTEGER),
        _AGE,
    ],
    "pods.": [
        _NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        _AGE,
        Column("IP", _of("status", "podIP", default="<none>"), wide=True),
        Column("Node", _of("spec", "nodeName", default="<none>"), wide=True),
        Column("Nominated Node", _of("status", "nominatedNodeName", default="<none>"), wide=True),
        Column("Readiness Gates", lambda pod, _: "<none>", wide=True),
    ],
    "deployments.apps": [
        _NAME,
        Column("Ready", _rollout),
        Column("Up-to-date", _of("status", "updatedReplicas", default=0), _INTEGER),
        Column("Available", _of("status", "availableReplicas", default=0), _INTEGER),
        _AGE,
        Column("Containers", _containers("name"), wide=True),
        Column("Images", _containers("image"), wide=True),
        Column("Selector", _selector, wide=True),
    ],
    "replicasets.apps": [
        _NAME,
        Column("Desired", _of("spec", "replicas", default=0), _INTEGER),
        Column("Current", _of("status", "replicas", default=0), _INTEGER),
        Column("Ready", _of("status", "readyReplicas", default=0), _INTEGER),
        _AGE,
        Column("Containers", _containers("name"), wide=True),
        Column("Images", _containers("image"), wide=True),
        Column("Selector", _selector, wide=True),
    ],
    "jobs.batch": [
        _NAME,
        Column("Status", _job_status),
        Column("Completions", _job_completions),
        Column("Duration", _job_duration),
        _AGE,
        Column("Containers", _containers("name"), wide=True),
        Column("Images", _containers("image"), wide=True),
        Column("Selector", _selector, wide=True),
    ],
    "services.": [
        _NAME,
        Column("Type", _of("spec", "type")),
        Column("Cluster-IP", _of("spec", "clusterIP", default="<none>")),
        Column("External-IP", lambda service, _: "<none>"),
        Column("Port(s)", _ports),
        _AGE,
        Column(
            "Selector",
            lambda service, _: (
                ",".join(
                    f"{key}={value}"
                    for key, value in sorted(at(service, "spec", "selector", default={}).items())
                )
                or "<none>"
            ),
            wide=True,
        ),
    ],
    "nodes.": [
        _NAME,
        Column("Status", _node_status),
        Column("Roles", _roles),
        _AGE,
        Column("Version", _of("status", "nodeInfo", "kubeletVersion")),
    ],
    "namespaces.": [_NAME, Column("Status", _of("status", "phase")), _AGE],
    "configmaps.": [
        _NAME,
        Column("Data", lambda obj, _: len(obj.get("data") or {}) + len(obj.get("binaryData") or {})),
        _AGE,
    ],
    "secrets.": [
        _NAME,
        Column("Type", _of("type")),
        Column("Data", lambda obj, _: len(obj.get("data") or {})),
        _AGE,
    ],
    "serviceaccounts.": [_NAME, Column("Secrets", lambda obj, _: len(obj.get("secrets") or ())), _AGE],
    "events.": [
        Column("Last Seen", _event_seen),
        Column("Type", _of("type")),
        Column("Reason", _of("reason")),
        Column("Object", _event_object),
        Column("Message", lambda event, _: str(event.get("message", "")).strip()),
        Column("Name", lambda obj, _: obj["metadata"]["name"], wide=True, form="name"),
    ],
    "leases.coordination.k8s.io": [_NAME, Column("Holder", _of("spec", "holderIdentity")), _AGE],
    "endpointslices.discovery.k8s.io": [
        _NAME,
        Column("AddressType", _of("addressType")),
        Column("Ports", _slice_ports),
        Column("Endpoints", _slice_endpoints),
        _AGE,
    ],
    "poddisruptionbudgets.policy": [
        _NAME,
        Column("Min Available", lambda obj, _: str(at(obj, *_PDB[0], default="N/A"))),
        Column("Max Unavailable", lambda obj, _: str(at(obj, *_PDB[1], default="N/A"))),
        Column("Allowed Disruptions", _of("status", "disruptionsAllowed", default=0), _INTEGER),
        _AGE,
    ],
    "resourcequotas.": [_NAME, Column("Request", _quota("request")), Column("Limit", _quota("limits")), _AGE],
    "roles.rbac.authorization.k8s.io": [_NAME, Column("Created At", _of("metadata", "creationTimestamp"))],
    "clusterroles.rbac.authorization.k8s.io": [
        _NAME,
        Column("Created At", _of("metadata", "creationTimestamp")),
    ],
    "rolebindings.rbac.authorization.k8s.io": [
        _NAME,
        Column("Role", lambda obj, _: f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"),
        _AGE,
    ],
    "clusterrolebindings.rbac.authorization.k8s.io": [
        _NAME,
        Column("Role", lambda obj, _: f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"),
        _AGE,
    ],
}
_CREATED = Column("Created At", _of("metadata", "creationTimestamp"), "date")
_DEFAULT = [_NAME, _CREATED]


def columns_of(resource: Resource) -> list[Column]:
    """The columns of a resource."""
    if resource.custom is None:
        return COLUMNS.get(resource.bucket, _DEFAULT)
    extra = resource.custom.get("additionalPrinterColumns")
    if not extra:
        return [_NAME, _AGE]
    return [_NAME, *map(_custom_column, extra)]


def _custom_column(column: Json) -> Column:
    path = column["jsonPath"]

    def cell(obj: Json, now: float) -> Any:
        found = json_path(obj, path)
        if not found:
            return None
        if column["type"] == "date":
            return age(str(found[0]), now)
        if column["type"] == "string":
            return found[0] if isinstance(found[0], str) else str(found[0])
        return found[0]

    wide = bool(column.get("priority"))
    kind = "date" if column["type"] == "date" else column["type"]
    return Column(column["name"], cell, kind, wide, column.get("format", ""), column.get("description", ""))


_STEP = re.compile(
    r"\.([A-Za-z0-9_\-]+)|\['([^']+)'\]|\[(\d+|\*)\]|\[\?\(@\.([\w.]+)\s*==\s*[\"']([^\"']*)[\"']\)\]"
)


def json_path(obj: Any, path: str) -> list[Any]:
    """What a simple JSONPath finds: fields, indices, `[*]` and `[?(@.type=="Ready")]`."""
    found = [obj]
    for match in _STEP.finditer(path.strip("{}")):
        name, quoted_name, index, key, value = match.groups()
        found = [inner for one in found for inner in _step(one, name or quoted_name, index, key, value)]
    return [one for one in found if one is not None]


def _step(one: Any, name: str | None, index: str | None, key: str | None, value: str | None) -> Iterable[Any]:
    if name is not None:
        return [one[name]] if isinstance(one, dict) and name in one else []
    if not isinstance(one, list):
        return []
    if index == "*":
        return one
    if index is not None:
        return one[int(index) : int(index) + 1]
    return [inner for inner in one if str(at(inner, *(key or "").split("."), default="")) == value]


def table(
    resource: Resource,
    objects: list[Json],
    now: float,
    version: str,
    include: str,
    *,
    head: bool = True,
    **more: Any,
) -> Json:
    """A Table; `include` says how much of each object a row carries."""
    columns = columns_of(resource)
    if resource.group == EVENTS:
        objects = [converted(CORE_EVENTS, obj) for obj in objects]
    metadata = {"resourceVersion": version} | more
    made: Json = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    made["columnDefinitions"] = [column.definition for column in columns] if head else []
    made["rows"] = [
        {"cells": [column.cell(obj, now) for column in columns], "object": _carried(obj, include)}
        for obj in objects
    ]
    return made


def _carried(obj: Json, include: str) -> Any:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
