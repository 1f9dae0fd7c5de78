"""Which groups, versions and resources there are, for clients that ask: one by one, or all at once."""

from typing import Any

from ostiary_operator.sandbox.api.resources import Registry, Resource

Json = dict[str, Any]

_SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
_SPECIAL: dict[str, tuple[Json, list[str]]] = {
    "eviction": ({"group": "policy", "version": "v1", "kind": "Eviction"}, ["create"]),
    "binding": ({"group": "", "version": "v1", "kind": "Binding"}, ["create"]),
    "token": (
        {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"},
        ["create"],
    ),
    "attach": ({"group": "", "version": "v1", "kind": "PodAttachOptions"}, ["create", "get"]),
    "exec": ({"group": "", "version": "v1", "kind": "PodExecOptions"}, ["create", "get"]),
    "portforward": ({"group": "", "version": "v1", "kind": "PodPortForwardOptions"}, ["create", "get"]),
    "log": ({"group": "", "version": "v1", "kind": "Pod"}, ["get"]),
    "finalize": ({"group": "", "version": "v1", "kind": "Namespace"}, ["update"]),
    "scale": (_SCALE, ["get", "patch", "update"]),
}


def _subresource(resource: Resource, name: str) -> tuple[Json, list[str]]:
    own = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return _SPECIAL.get(name, (own, ["get", "patch", "update"]))


def _version(group: str, version: str) -> Json:
    return {"groupVersion": f"{group}/{version}", "version": version}


def _group(group: str, versions: list[str]) -> Json:
    return {
        "name": group,
        "versions": [_version(group, version) for version in versions],
        "preferredVersion": _version(group, versions[0]),
    }


def core_versions(address: str) -> Json:
    """The answer to /api."""
    clients = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": clients}


def group_list(registry: Registry) -> Json:
    """The answer to /apis."""
    groups = [_group(group, versions) for group, versions in registry.groups().items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def one_group(registry: Registry, group: str) -> Json | None:
    """The answer to /apis/GROUP."""
    versions = registry.groups().get(group)
    return None if not versions else {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}


def resource_list(registry: Registry, group: str, version: str) -> Json | None:
    """The answer to /api/v1 and /apis/GROUP/VERSION."""
    found = [one for one in registry if (one.group, one.version) == (group, version)]
    if not found:
        return None
    resources = []
    for one in sorted(found, key=lambda one: one.plural):
        entry: Json = {
            "name": one.plural,
            "singularName": one.singular,
            "namespaced": one.namespaced,
            "kind": one.kind,
            "verbs": sorted(one.verbs),
        }
        if one.short_names:
            entry["shortNames"] = list(one.short_names)
        if one.categories:
            entry["categories"] = list(one.categories)
        resources.append(entry)
        for name in sorted(one.subresources):
            kind, verbs = _subresource(one, name)
            entry = {
                "name": f"{one.plural}/{name}",
                "singularName": "",
                "namespaced": one.namespaced,
                "kind": kind["kind"],
                "verbs": verbs,
            }
            if (kind["group"], kind["version"]) != (group, version):
                entry |= {"group": kind["group"], "version": kind["version"]}
            resources.append(entry)
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}


def aggregated(registry: Registry, api_version: str, *, core: bool) -> Json:
    """All groups with their resources in one answer, for /api or /apis."""
    items = []
    for group, versions in registry.groups().items():
        if bool(group) is core:
            continue
        entries = [
            {
                "version": version,
                "resources": [
                    _aggregated_resource(one)
                    for one in sorted(registry, key=lambda one: one.plural)
                    if (one.group, one.version) == (group, version)
                ],
                "freshness": "Current",
            }
            for version in versions
        ]
        metadata = {"name": group} if group else {}
        items.append({"metadata": metadata | {"creationTimestamp": None}, "versions": entries})
    kind = {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{api_version}"}
    return kind | {"metadata": {}, "items": items}


def _aggregated_resource(one: Resource) -> Json:
    made: Json = {
        "resource": one.plural,
        "responseKind": {"group": one.group, "version": one.version, "kind": one.kind},
        "scope": "Namespaced" if one.namespaced else "Cluster",
        "singularResource": one.singular,
        "verbs": sorted(one.verbs),
    }
    if one.short_names:
        made["shortNames"] = list(one.short_names)
    if one.categories:
        made["categories"] = list(one.categories)
    if one.subresources:
        made["subresources"] = [
            {"subresource": name, "responseKind": kind, "verbs": verbs}
            for name in sorted(one.subresources)
            for kind, verbs in [_subresource(one, name)]
        ]
    return made
