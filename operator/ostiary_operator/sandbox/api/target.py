"""What a request asks for: the resource that its path names, and the verb."""

from collections.abc import Mapping
from dataclasses import dataclass

from ostiary_operator.sandbox.api import status


@dataclass(frozen=True)
class Target:
    """What a path names."""

    group: str
    version: str
    namespace: str | None
    plural: str
    name: str
    subresource: str


def parse_path(path: str) -> Target | None:
    """The resource that a path names, or None where it names none."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = None
    if rest[0] == "namespaces" and len(rest) >= 3 and not (group == "" and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        return None
    padded = [*rest, "", ""]
    return Target(group, version, namespace, padded[0], padded[1], padded[2])


def verb_of(method: str, target: Target, query: Mapping[str, str]) -> str:
    """The verb of a method; status.ApiError (405) where it has none."""
    watching = query.get("watch", "").lower() in ("true", "1")
    if method in ("GET", "HEAD"):
        if target.name:
            return "get"
        return "watch" if watching else "list"
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    verbs = {"POST": "create", "PUT": "update", "PATCH": "patch"}
    if method not in verbs:
        raise status.method_not_allowed()
    return verbs[method]
