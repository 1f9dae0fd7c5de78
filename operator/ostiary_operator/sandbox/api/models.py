"""Schemas of Kubernetes' own kinds, made from the models of its Python client, with the keys of their lists.

The client's models say which fields there are, their types and which are required. What they leave out - by
which key lists merge, which maps are one value - is in the tables here.
"""

import re
from functools import cache
from typing import Any

from kubernetes_asyncio import client
from kubernetes_asyncio.client.configuration import Configuration

Json = dict[str, Any]

# Model and field → keys of the list's elements, the first being that of strategic merge patches.
_MAPS: dict[str, tuple[str, ...]] = {
    "V1ObjectMeta.owner_references": ("uid",),
    "V1PodSpec.containers": ("name",),
    "V1PodSpec.init_containers": ("name",),
    "V1PodSpec.ephemeral_containers": ("name",),
    "V1PodSpec.volumes": ("name",),
    "V1PodSpec.image_pull_secrets": ("name",),
    "V1PodSpec.host_aliases": ("ip",),
    "V1PodSpec.topology_spread_constraints": ("topologyKey", "whenUnsatisfiable"),
    "V1PodSpec.scheduling_gates": ("name",),
    "V1PodSpec.resource_claims": ("name",),
    "V1Container.env": ("name",),
    "V1Container.ports": ("containerPort", "protocol"),
    "V1Container.volume_mounts": ("mountPath",),
    "V1Container.volume_devices": ("devicePath",),
    "V1ResourceRequirements.claims": ("name",),
    "V1PodStatus.conditions": ("type",),
    "V1PodStatus.pod_i_ps": ("ip",),
    "V1DeploymentStatus.conditions": ("type",),
    "V1ReplicaSetStatus.conditions": ("type",),
    "V1JobStatus.conditions": ("type",),
    "V1NodeStatus.conditions": ("type",),
    "V1NodeStatus.addresses": ("type",),
    "V1NamespaceStatus.conditions": ("type",),
    "V1ServiceStatus.conditions": ("type",),
    "V1ServiceSpec.ports": ("port", "protocol"),
    "V1ServiceAccount.secrets": ("name",),
    "V1PersistentVolumeClaimStatus.conditions": ("type",),
    "V1PodDisruptionBudgetStatus.conditions": ("type",),
    "V1CustomResourceDefinitionStatus.conditions": ("type",),
    "V1MutatingWebhookConfiguration.webhooks": ("name",),
    "V1ValidatingWebhookConfiguration.webhooks": ("name",),
}
_SETS = {
    "V1ObjectMeta.finalizers": True,
    "V1NodeSpec.pod_cid_rs": True,
    "V1Endpoint.addresses": False,
    "V1PodFailurePolicyOnExitCodesRequirement.values": False,
    "V1UncountedTerminatedPods.failed": False,
    "V1UncountedTerminatedPods.succeeded": False,
}
"""Model and field → whether strategic merge patches add to the set."""
_RETAIN = {"V1DeploymentSpec.strategy", "V1PodSpec.volumes"}
_WHOLE = {
    "V1LabelSelector", "V1ObjectReference", "V1LocalObjectReference", "V1SecretKeySelector",
    "V1ConfigMapKeySelector", "V1ObjectFieldSelector", "V1ResourceFieldSelector", "V1OwnerReference",
    "V1NodeSelector", "V1NodeSelectorTerm", "V1ScopeSelector", "V1RoleRef", "RbacV1Subject",
    "CoreV1EventSource", "V1TypedLocalObjectReference",
}  # fmt: skip
"""Models whose objects are one value, owned and replaced as a whole."""
_WHOLE_FIELDS = {"V1PodSpec.node_selector", "V1ServiceSpec.selector"}
_PORTS = {
    "V1HTTPGetAction.port", "V1TCPSocketAction.port", "V1ServicePort.target_port",
    "V1PodDisruptionBudgetSpec.max_unavailable", "V1PodDisruptionBudgetSpec.min_available",
    "V1RollingUpdateDeployment.max_surge", "V1RollingUpdateDeployment.max_unavailable",
    "V1NetworkPolicyPort.port",
}  # fmt: skip
_QUANTITIES = {
    "V1ResourceRequirements.limits", "V1ResourceRequirements.requests", "V1NodeStatus.capacity",
    "V1NodeStatus.allocatable", "V1ResourceQuotaSpec.hard", "V1ResourceQuotaStatus.hard",
    "V1ResourceQuotaStatus.used", "V1PodSpec.overhead", "V1VolumeResourceRequirements.limits",
    "V1VolumeResourceRequirements.requests", "V1PersistentVolumeClaimStatus.capacity",
    "V1PersistentVolumeClaimStatus.allocated_resources",
}  # fmt: skip
_QUANTITY = {"V1EmptyDirVolumeSource.size_limit", "V1ResourceFieldSelector.divisor"}
_BYTES = {"V1Secret.data", "V1ConfigMap.binary_data"}
_OPEN = {"V1JSONSchemaProps": "any", "V1FieldsV1": "any"}
_NAMES = {
    "V1ObjectMeta": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "V1LabelSelector": "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
}
_MICRO = {"V1LeaseSpec.acquire_time", "V1LeaseSpec.renew_time", "CoreV1Event.event_time",
          "EventsV1Event.event_time", "CoreV1EventSeries.last_observed_time",
          "EventsV1EventSeries.last_observed_time"}  # fmt: skip

Open: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition_name(model: str) -> str:
    """The name of a model among OpenAPI definitions."""
    return _NAMES.get(model) or f"io.k8s.api.{re.sub(r'^[A-Za-z]*?V1(?=[A-Z])', '', model)}"


@cache
def schema(model: str) -> Json:
    """The structural schema of a model, with the models that it uses in place."""
    if model in _OPEN:
        return Open
    kind = getattr(client, model)
    properties = {
        json_name: _field(model, name, kind.openapi_types[name], getattr(kind, name).__doc__ or "")
        for name, json_name in kind.attribute_map.items()
    }
    made: Json = {"type": "object", "properties": properties, "x-model": model}
    if needed := [kind.attribute_map[name] for name in kind.attribute_map if _required(kind, name)]:
        made["required"] = needed
    if model in _WHOLE:
        made["x-kubernetes-map-type"] = "atomic"
    return made


def _field(model: str, name: str, type_name: str, doc: str) -> Json:
    place = f"{model}.{name}"
    made = dict(_typed(type_name))
    if place in _PORTS:
        made = {"x-kubernetes-int-or-string": True}
    if place in _MICRO:
        made["x-micro"] = True
    if place in _QUANTITIES:
        made["additionalProperties"] = {"x-kubernetes-int-or-string": True, "x-quantity": True}
    if place in _QUANTITY:
        made = {"x-kubernetes-int-or-string": True, "x-quantity": True}
    if place in _BYTES:
        made["additionalProperties"] = {"type": "string", "format": "byte"}
    if place in _WHOLE_FIELDS:
        made["x-kubernetes-map-type"] = "atomic"
    if keys := _MAPS.get(place):
        made["x-kubernetes-list-type"] = "map"
        made["x-kubernetes-list-map-keys"] = list(keys)
        made["x-kubernetes-patch-merge-key"] = keys[0]
        made["x-kubernetes-patch-strategy"] = "merge"
    if place in _SETS:
        made["x-kubernetes-list-type"] = "set"
        if _SETS[place]:
            made["x-kubernetes-patch-strategy"] = "merge"
    if place in _RETAIN:
        kept = made.get("x-kubernetes-patch-strategy")
        made["x-kubernetes-patch-strategy"] = f"{kept},retainKeys" if kept else "retainKeys"
    if description := _described(doc):
        made["description"] = description
    return made


def _described(doc: str) -> str:
    """What a getter's docstring says of the field, between what it gets and what it returns."""
    _, _, rest = doc.partition("# noqa: E501")
    text, _, _ = rest.partition(":return:")
    return text.replace("# noqa: E501", "").strip()


def _typed(type_name: str) -> Json:
    if inner := re.fullmatch(r"list\[(.+)\]", type_name):
        return {"type": "array", "items": _typed(inner[1])}
    if inner := re.fullmatch(r"dict\(str, (.+)\)", type_name):
        return {"type": "object", "additionalProperties": _typed(inner[1])}
    simple: dict[str, Json] = {
        "str": {"type": "string"},
        "int": {"type": "integer"},
        "float": {"type": "number"},
        "bool": {"type": "boolean"},
        "datetime": {"type": "string", "format": "date-time"},
        "object": Open,
    }
    return simple[type_name] if type_name in simple else schema(type_name)


_ANYTHING = Configuration()
_ANYTHING.client_side_validation = False
_STRICT = Configuration()


def _required(kind: Any, name: str) -> bool:
    """Asks the model's own setter whether the field may be left out."""
    instance = kind(local_vars_configuration=_ANYTHING)
    instance.local_vars_configuration = _STRICT
    try:
        setattr(instance, name, None)
    except ValueError:
        return True
    return False
