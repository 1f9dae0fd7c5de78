"""The versions of a resource: what is stored in one of them is shown in any.

Versions of a custom resource differ in name and in what their schemas keep, which is what the strategy `None`
means. Events are one resource in two groups, whose fields have different names.
"""

from typing import Any

from ostiary_operator.sandbox.api import structural
from ostiary_operator.sandbox.api.resources import EVENTS, Resource
from ostiary_operator.sandbox.api.values import copied

Json = dict[str, Any]

_RENAMED = {
    "regarding": "involvedObject", "note": "message", "reportingController": "reportingComponent",
    "deprecatedSource": "source", "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp", "deprecatedCount": "count",
}  # fmt: skip
"""Fields of `events.k8s.io` and what they are called in the core group, where they are stored."""
_BACK = {old: new for new, old in _RENAMED.items()}


def converted(resource: Resource, obj: Json) -> Json:
    """An object in the version of `resource`; the very same where that is its own."""
    if obj.get("apiVersion") == resource.group_version:
        return obj
    named = {"apiVersion": resource.group_version}
    if resource.bucket == "events.":
        names = _BACK if resource.group == EVENTS else _RENAMED
        return {names.get(key, key): value for key, value in obj.items()} | named
    if resource.custom is None:
        return obj | named
    made: Json = copied(obj) | named
    metadata = made.pop("metadata")
    structural.prune(resource.schema, made)
    structural.fill_defaults(resource.schema, made)
    return made | {"metadata": metadata}


def core_field(path: str) -> str:
    """A field of `events.k8s.io`, as a field selector names it, under its name in the core group."""
    first, dot, rest = path.partition(".")
    return _RENAMED.get(first, first) + dot + rest
