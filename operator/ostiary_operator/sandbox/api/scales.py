"""The subresource `scale`: how many replicas there are and shall be, whatever the kind."""

from typing import Any

from ostiary_operator.sandbox.api.resources import Resource
from ostiary_operator.sandbox.api.selectors import as_query
from ostiary_operator.sandbox.api.status import bad_request, invalid, invalid_value
from ostiary_operator.sandbox.api.values import at, copied

Json = dict[str, Any]


def _paths(resource: Resource) -> tuple[list[str], list[str], list[str]]:
    if resource.custom is None:
        return ["spec", "replicas"], ["status", "replicas"], []
    scale = resource.custom["subresources"]["scale"]
    words = (
        scale.get("specReplicasPath", ""),
        scale.get("statusReplicasPath", ""),
        scale.get("labelSelectorPath", ""),
    )
    spec, status, selector = (text.strip(".").split(".") if text else [] for text in words)
    return spec, status, selector


def scale_of(resource: Resource, obj: Json) -> Json:
    """The Scale of an object."""
    spec, status, selector = _paths(resource)
    metadata = obj["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    query = (
        as_query(at(obj, "spec", "selector")) if resource.custom is None else at(obj, *selector, default="")
    )
    made: Json = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names if name in metadata},
        "spec": {"replicas": at(obj, *spec, default=0)},
        "status": {"replicas": at(obj, *status, default=0)},
    }
    if isinstance(query, str) and query:
        made["status"]["selector"] = query
    return made


def wanted_replicas(scale: Any) -> int:
    """The replicas that a Scale asks for."""
    wanted = at(scale, "spec", "replicas", default=0)
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise bad_request(
            'Scale in version "v1" cannot be handled as a Scale: spec.replicas must be a number'
        )
    if wanted < 0:
        detail = "must be greater than or equal to 0"
        name = at(scale, "metadata", "name", default="")
        raise invalid("autoscaling", "Scale", name, [invalid_value("spec.replicas", wanted, detail)])
    return wanted


def with_replicas(resource: Resource, obj: Json, replicas: int) -> Json:
    """The object with other replicas."""
    made: Json = copied(obj)
    spec, _, _ = _paths(resource)
    node = made
    for word in spec[:-1]:
        node = node.setdefault(word, {})
    node[spec[-1]] = replicas
    return made
