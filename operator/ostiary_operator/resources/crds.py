"""CustomResourceDefinitions, made from the classes that read the operator's own kinds, and from the messages
that gateways read.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from google.protobuf.message import Message
from pydantic import BaseModel

from ostiary.v1.config_pb2 import BrandRegistry, ModerationPolicy, TrafficRoute
from ostiary_operator.autoscaling.spec import AutoscalerSpec
from ostiary_operator.resources.analysis import AnalysisRunSpec, AnalysisRunStatus, AnalysisTemplateSpec
from ostiary_operator.resources.gpu_autoscaler import AutoscalerStatus
from ostiary_operator.resources.message_kinds import FACETS, MESSAGE_RULES, NAMED_AS_THE_OBJECT, TakenUp
from ostiary_operator.resources.messages import Comments, descriptor_of, of_message
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.resources.model_override import ModelOverrideSpec, ModelOverrideStatus
from ostiary_operator.resources.model_version import ModelVersionSpec, ModelVersionStatus
from ostiary_operator.resources.structural import Rules, structural

GROUP, VERSION = "ostiary.dev", "v1alpha1"

# What a schema cannot say by itself. Python's own validators say the same for whatever passes no API server.
RULES: Rules = {
    "AutoscalerSpec": (
        (
            "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            "minReplicas: at most maxReplicas",
        ),
        (
            "!has(self.minReplicas) || self.minReplicas > 0 || (has(self.bulkOnly) && self.bulkOnly)",
            "minReplicas: 0 needs bulkOnly: true",
        ),
    ),
    "ModelVersionSpec": (("self == oldSelf", "a ModelVersion never changes; make another"),),
    "AnalysisRunSpec": (("self == oldSelf", "a run's spec never changes; make another"),),
    "ModelOverrideSpec": (
        ("self.order != 'Pin' || has(self.toVersion)", "toVersion: a Pin needs it"),
        ("self.order != 'Freeze' || !has(self.toVersion)", "toVersion: a Freeze has none"),
    ),
    "Step": (
        (
            "(has(self.setWeight) ? 1 : 0) + (has(self.analysis) ? 1 : 0) + "
            "((has(self.pause) && self.pause) || has(self.pauseSeconds) ? 1 : 0) == 1",
            "give exactly one of setWeight, pause (or pauseSeconds) and analysis",
        ),
    ),
    "Metric": (
        (
            "has(self.compare) != has(self.prometheus)",
            "give exactly one of compare and prometheus",
        ),
    ),
    "Control": (
        (
            "has(self.split) != (size(self.tenants) + size(self.headers) > 0)",
            "give either split, or tenants and headers",
        ),
    ),
    "Bound": (("has(self.atLeast) != has(self.atMost)", "give exactly one of atLeast and atMost"),),
    "ReplayGate": (
        ("has(self.gateway) != has(self.export)", "give exactly one of gateway and export"),
        ("!has(self.export) || has(self.folder)", "folder: export needs it; it says where the file lies"),
    ),
    "Query": (
        ("has(self.atLeast) || has(self.atMost)", "give atLeast, atMost or both"),
        (
            "!has(self.atLeast) || !has(self.atMost) || self.atLeast <= self.atMost",
            "atLeast is above atMost: no number would be good",
        ),
    ),
}


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of resource. `spec`: a class, or a message in its JSON mapping. `status`: None for one that only
    says something. `short`: its short names.
    """

    name: str
    plural: str
    spec: type[BaseModel] | type[Message]
    status: type[BaseModel] | None
    short: tuple[str, ...]
    columns: tuple[Column, ...]


_ACCEPTED = Column("Accepted", ".status.conditions[?(@.type=='Accepted')].status")
KINDS = (
    Kind(
        "GPUAutoscaler",
        "gpuautoscalers",
        AutoscalerSpec,
        AutoscalerStatus,
        ("gas",),
        (
            Column("Target", ".spec.scaleTargetRef.name"),
            Column("Min", ".spec.minReplicas", "integer"),
            Column("Max", ".spec.maxReplicas", "integer"),
            Column("Replicas", ".status.currentReplicas", "integer"),
            Column("Desired", ".status.desiredReplicas", "integer"),
            Column("Mode", ".spec.mode"),
            Column("Metrics", ".status.conditions[?(@.type=='MetricsHealthy')].status"),
        ),
    ),
    Kind(
        "ModelVersion",
        "modelversions",
        ModelVersionSpec,
        ModelVersionStatus,
        ("mv",),
        (
            Column("Model", ".spec.model"),
            Column("Version", ".spec.version"),
            Column("Verified", ".status.conditions[?(@.type=='Verified')].status"),
            Column("Load-P95", ".status.loadSecondsP95", "number", 1),
        ),
    ),
    Kind(
        "ModelDeployment",
        "modeldeployments",
        ModelDeploymentSpec,
        ModelDeploymentStatus,
        ("md",),
        (
            Column("Stable", ".status.stable"),
            Column("Candidate", ".status.candidate"),
            Column("Weight", ".status.candidateWeight", "integer"),
            Column("Step", ".status.step", "integer"),
            Column("Phase", ".status.phase"),
            Column("Ready", ".status.readyReplicas", "integer"),
            Column("Rollback-ETA", ".status.rollbackReady.etaSeconds", "number"),
        ),
    ),
    Kind(
        "AnalysisTemplate",
        "analysistemplates",
        AnalysisTemplateSpec,
        None,
        ("at",),
        (Column("Min-Samples", ".spec.minSamples", "integer"), Column("Alpha", ".spec.alpha", "number")),
    ),
    Kind(
        "AnalysisRun",
        "analysisruns",
        AnalysisRunSpec,
        AnalysisRunStatus,
        ("ar",),
        (
            Column("Candidate", ".spec.candidate"),
            Column("Phase", ".status.phase"),
            Column("Message", ".status.message", priority=1),
        ),
    ),
    Kind(
        "ModelOverride",
        "modeloverrides",
        ModelOverrideSpec,
        ModelOverrideStatus,
        ("mo",),
        (
            Column("Target", ".spec.target"),
            Column("Order", ".spec.order"),
            Column("To", ".spec.toVersion"),
            Column("Actor", ".spec.actor"),
            # No date: kubectl would tell for how long it has been, which of what is to come is <invalid>.
            Column("Expires", ".spec.expiresAt"),
        ),
    ),
    Kind(
        "TrafficRoute",
        "trafficroutes",
        TrafficRoute,
        TakenUp,
        ("tr",),
        (
            Column("Epoch", ".spec.epoch"),
            Column("Failure-Verdict", ".spec.failureVerdict", priority=1),
            _ACCEPTED,
        ),
    ),
    Kind(
        "ModerationPolicy",
        "moderationpolicies",
        ModerationPolicy,
        TakenUp,
        ("mp",),
        (Column("Version", ".spec.version"), _ACCEPTED),
    ),
    Kind(
        "BrandRegistry",
        "brandregistries",
        BrandRegistry,
        TakenUp,
        ("br",),
        (Column("Version", ".spec.version"), _ACCEPTED),
    ),
)


def definition(kind: Kind, comments: Comments = MappingProxyType({})) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind; `comments` describe the fields of messages."""
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": _spec(kind, comments),
    }
    if kind.status is not None:
        properties["status"] = _conditions_by_type(structural(kind.status, RULES))
    age = Column("Age", ".metadata.creationTimestamp", "date")
    schema: dict[str, Any] = {"type": "object", "required": ["spec"], "properties": properties}
    if issubclass(kind.spec, Message):
        schema["x-kubernetes-validations"] = [
            {"rule": rule, "message": message} for rule, message in NAMED_AS_THE_OBJECT
        ]
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(one) for one in (*kind.columns, age)],
        "schema": {"openAPIV3Schema": schema},
    }
    if kind.status is not None:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": list(kind.short),
                "categories": ["ostiary"],
            },
            "versions": [version],
        },
    }


def _spec(kind: Kind, comments: Comments) -> dict[str, Any]:
    if issubclass(kind.spec, BaseModel):
        return structural(kind.spec, RULES)
    return of_message(descriptor_of(kind.spec), MESSAGE_RULES, FACETS, comments)


def _column(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return found | {"priority": column.priority} if column.priority else found


def _conditions_by_type(status: dict[str, Any]) -> dict[str, Any]:
    """So that server-side apply merges conditions one by one."""
    if conditions := status["properties"].get("conditions"):
        conditions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return status
