"""The ClusterRoles that every cluster begins with: who looks, who works, who runs a namespace."""

from typing import Any

Json = dict[str, Any]

_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_SEEN = {
    "": ["configmaps", "events", "namespaces", "pods", "pods/log", "pods/status", "resourcequotas",
         "resourcequotas/status", "serviceaccounts", "services", "services/status"],
    "apps": ["deployments", "deployments/scale", "deployments/status", "replicasets", "replicasets/scale",
             "replicasets/status"],
    "batch": ["jobs", "jobs/status"],
    "discovery.k8s.io": ["endpointslices"],
    "policy": ["poddisruptionbudgets", "poddisruptionbudgets/status"],
}  # fmt: skip
"""What `view` reads: neither Secrets, which would let one act as anybody's service account, nor roles."""
_WORKED_ON = {
    "": ["configmaps", "pods", "pods/attach", "pods/eviction", "pods/exec", "pods/portforward", "secrets",
         "serviceaccounts", "serviceaccounts/token", "services"],
    "apps": ["deployments", "deployments/scale", "replicasets", "replicasets/scale"],
    "batch": ["jobs"],
    "coordination.k8s.io": ["leases"],
    "policy": ["poddisruptionbudgets"],
}  # fmt: skip
_SECRETS = {
    "": ["pods/attach", "pods/exec", "pods/portforward", "secrets"],
    "coordination.k8s.io": ["leases"],
}
_RBAC = "rbac.authorization.k8s.io"
_EVERYTHING: list[Json] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]


def _rules(resources: dict[str, list[str]], verbs: list[str]) -> list[Json]:
    return [{"apiGroups": [group], "resources": names, "verbs": verbs} for group, names in resources.items()]


def cluster_roles() -> dict[str, list[Json]]:
    """Rules by the name of the role; custom resources are in none but the administrator's."""
    view = _rules(_SEEN, _READ)
    impersonate = {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}
    edit = [*view, *_rules(_SECRETS, _READ), *_rules(_WORKED_ON, _WRITE), impersonate]
    admin = [*edit, *_rules({_RBAC: ["rolebindings", "roles"]}, [*_READ, *_WRITE])]
    return {"cluster-admin": _EVERYTHING, "admin": admin, "edit": edit, "view": view}
