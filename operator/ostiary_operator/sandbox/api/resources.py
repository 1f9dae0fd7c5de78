"""Which resources there are: Kubernetes' own, and those that definitions add."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ostiary_operator.sandbox.api.models import schema

Json = dict[str, Any]

EVENTS = "events.k8s.io"
"""The newer group of Events, which are the core group's under other names."""
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Resource:
    """One resource in one version, and how its objects are treated."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = ALL_VERBS
    model: str = ""
    custom: Json | None = field(default=None, hash=False)
    """The version of a CustomResourceDefinition that this comes from."""

    @property
    def bucket(self) -> str:
        """Where the objects of all versions are stored."""
        return f"{self.plural}.{'' if self.group == EVENTS else self.group}"

    @property
    def group_version(self) -> str:
        """`apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def schema(self) -> Json:
        """The structural schema of its objects."""
        if self.custom is None:
            return schema(self.model or f"V1{self.kind}")
        return custom_schema(self.custom)

    @property
    def list_kind(self) -> str:
        """Kind of its lists."""
        return f"{self.kind}List"


def custom_schema(version: Json) -> Json:
    """The schema of a definition's version, with the metadata that every object has."""
    kept: Json | None = version.get("_schema")
    if kept is None:
        given = (version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}
        properties = {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            **(given.get("properties") or {}),
            "metadata": schema("V1ObjectMeta"),
        }
        kept = given | {"properties": properties, "type": "object"}
        version["_schema"] = kept
    return kept


def _own(group: str, kind: str, plural: str, *shorts: str, **more: Any) -> Resource:
    more.setdefault("namespaced", True)
    more.setdefault("subresources", frozenset())
    return Resource(
        group, "v1", kind, plural, singular=kind.lower(), short_names=shorts, **more
    )  # fmt: skip


_STATUS = frozenset({"status"})
_SCALED = frozenset({"status", "scale"})
_ALL = ("all",)
_RBAC = "rbac.authorization.k8s.io"
_REVIEW = {"verbs": ("create",), "namespaced": False}

CORE_EVENTS = _own("", "Event", "events", "ev", model="CoreV1Event")

BUILT_IN: tuple[Resource, ...] = (
    _own("", "Namespace", "namespaces", "ns", namespaced=False,
         subresources=frozenset({"status", "finalize"}),
         verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection")),
    _own("", "Node", "nodes", "no", namespaced=False, subresources=_STATUS),
    _own("", "Pod", "pods", "po", categories=_ALL,
         subresources=frozenset(
             {"status", "eviction", "binding", "log", "attach", "exec", "portforward"}
         )),
    _own("", "Service", "services", "svc", categories=_ALL, subresources=_STATUS),
    _own("", "ConfigMap", "configmaps", "cm"),
    _own("", "Secret", "secrets"),
    _own("", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", subresources=_STATUS),
    _own("", "ServiceAccount", "serviceaccounts", "sa", subresources=frozenset({"token"})),
    CORE_EVENTS,
    _own(EVENTS, "Event", "events", "ev", model="EventsV1Event"),
    _own("", "ResourceQuota", "resourcequotas", "quota", subresources=_STATUS),
    _own("apps", "Deployment", "deployments", "deploy", categories=_ALL, subresources=_SCALED),
    _own("apps", "ReplicaSet", "replicasets", "rs", categories=_ALL, subresources=_SCALED),
    _own("batch", "Job", "jobs", categories=_ALL, subresources=_STATUS),
    _own("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    _own("coordination.k8s.io", "Lease", "leases"),
    _own("networking.k8s.io", "NetworkPolicy", "networkpolicies", "netpol"),
    _own("policy", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", subresources=_STATUS),
    _own(_RBAC, "Role", "roles"),
    _own(_RBAC, "RoleBinding", "rolebindings"),
    _own(_RBAC, "ClusterRole", "clusterroles", namespaced=False),
    _own(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    _own("scheduling.k8s.io", "PriorityClass", "priorityclasses", "pc", namespaced=False),
    _own("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", "crd", "crds",
         namespaced=False, subresources=_STATUS, categories=("api-extensions",)),
    _own("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations",
         namespaced=False, categories=("api-extensions",)),
    _own("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations",
         namespaced=False, categories=("api-extensions",)),
    _own("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews", **_REVIEW),
    _own("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", **_REVIEW),
    _own("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews", **_REVIEW),
    _own("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews", **_REVIEW),
)  # fmt: skip

SCALE = _own("autoscaling", "Scale", "scales", verbs=())
"""What the subresource `scale` answers with; no resource of its own."""


class Registry:
    """All resources that are served, by group, version and plural."""

    def __init__(self) -> None:
        self._own = {(one.group, one.version, one.plural): one for one in BUILT_IN}
        self._custom: dict[str, tuple[Resource, ...]] = {}
        self._storage: dict[str, Resource] = {}
        self._all = dict(self._own)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource, or None where it is not served."""
        return self._all.get((group, version, plural))

    def of_kind(self, group: str, version: str, kind: str) -> Resource | None:
        """The resource of a kind, or None."""
        return next(
            (one for one in self if (one.group, one.version, one.kind) == (group, version, kind)), None
        )

    def of_bucket(self, bucket: str) -> Resource | None:
        """A resource whose objects are stored under `bucket`, or None."""
        return next((one for one in self if one.bucket == bucket), None)

    def storage_of(self, resource: Resource) -> Resource:
        """The version in which the objects of a resource are stored, served or not."""
        if resource.custom is not None:
            return self._storage.get(resource.bucket, resource)
        return CORE_EVENTS if resource.group == EVENTS else resource

    def define(self, definition: Json) -> None:
        """Serves what a CustomResourceDefinition names, in all its served versions."""
        spec = definition["spec"]
        names = spec["names"]
        made = []
        for version in spec["versions"]:
            resource = Resource(
                spec["group"],
                version["name"],
                names["kind"],
                names["plural"],
                namespaced=spec["scope"] == "Namespaced",
                singular=names.get("singular") or names["kind"].lower(),
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                subresources=frozenset(version.get("subresources") or ()),
                custom=dict(version),
            )
            if version.get("served"):
                made.append(resource)
            if version.get("storage"):
                self._storage[resource.bucket] = resource
        self._custom[definition["metadata"]["name"]] = tuple(made)
        self._rebuild()

    def forget(self, name: str) -> None:
        """Serves the resources of a definition no longer."""
        self._custom.pop(name, None)
        self._rebuild()

    def _rebuild(self) -> None:
        customs = {
            (one.group, one.version, one.plural): one for made in self._custom.values() for one in made
        }
        self._all = customs | self._own

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._all.values())

    def groups(self) -> dict[str, list[str]]:
        """The versions of each group, the preferred first."""
        found: dict[str, set[str]] = {}
        for one in self:
            found.setdefault(one.group, set()).add(one.version)
        return {group: sorted(versions, key=priority) for group, versions in sorted(found.items())}


def priority(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as Kubernetes does: v2, v1, v1beta2, v1beta1, v1alpha1, others by name."""

    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0), version)
