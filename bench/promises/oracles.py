"""What authorization files mean, read by the letter of their descriptions and by nothing that serves them.

`a43` is written from the text of gRFC A43 with the two tightenings that the project promises (principals are
SPIFFE IDs, the empty one names nobody), `roles` from the comments that stand in a roles.yaml.
"""

import fnmatch
import re
from collections.abc import Mapping
from typing import Any


def a43(policy: Mapping[str, Any], principal: str, path: str, metadata: Mapping[str, str]) -> bool:
    """Whether a policy lets a caller in: no deny rule matches, and some allow rule does."""

    def matches(rule: Mapping[str, Any]) -> bool:
        principals = rule.get("source", {}).get("principals", [])
        request = rule.get("request", {})
        paths, headers = request.get("paths", []), request.get("headers", [])
        return (
            (not principals or any(_fits(pattern, principal) for pattern in principals))
            and (not paths or any(_fits(pattern, path) for pattern in paths))
            and all(
                header["key"].lower() in metadata
                and any(_fits(value, metadata[header["key"].lower()]) for value in header["values"])
                for header in headers
            )
        )

    if any(matches(rule) for rule in policy.get("deny_rules", [])):
        return False
    return any(matches(rule) for rule in policy["allow_rules"])


def roles(document: Mapping[str, Any], principal: str, path: str) -> bool:
    """Whether a roles file lets a caller in: its first binding names a role, and the role the method."""
    service, method = path.removeprefix("/ostiary.v1.").split("/")
    for binding in sorted(document["bindings"], key=lambda binding: "id" not in binding):
        if "id" in binding:
            found, tenant = principal == binding["id"], binding.get("tenant", "")
        else:
            pattern = re.escape(binding["prefix"]).replace(
                re.escape("{tenant}"), "(?P<tenant>[A-Za-z0-9][A-Za-z0-9._-]{0,127})"
            )
            match = re.fullmatch(f"{pattern}(/.*)?", principal)
            found = match is not None
            tenant = (match and match.groupdict().get("tenant")) or binding.get("tenant", "")
        if found:
            role = document["roles"][binding["role"]]
            listed, tenants = (
                (role, []) if isinstance(role, list) else (role["methods"], role.get("tenants", []))
            )
            return (not tenants or tenant in tenants) and any(
                name in (f"{service}/{method}", f"{service}/*") for name in listed
            )
    return False


def _fits(pattern: str, value: str) -> bool:
    """Exact, prefix*, *suffix, or * for anything but nothing."""
    if pattern == "*":
        return value != ""
    if pattern.startswith("*"):
        return fnmatch.fnmatchcase(value, "*" + _literal(pattern[1:]))
    if pattern.endswith("*"):
        return fnmatch.fnmatchcase(value, _literal(pattern[:-1]) + "*")
    return value == pattern


def _literal(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)
