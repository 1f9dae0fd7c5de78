"""The kinds of objects that the keeper reads and writes, as the API's paths name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

MODEL, VERSION, COMPONENT = "ostiary.dev/model", "ostiary.dev/version", "ostiary.dev/component"
"""Labels of a version's Deployment, pods and Service; of a gateway's Lease."""
GATE, ATTEMPT = "ostiary.dev/gate", "ostiary.dev/attempt"
"""Label of a gate's Job and its pods; annotation of the Job: the attempt of the rollout it belongs to."""
ACKED = "ostiary.dev/acked-epochs"
"""Annotation of a gateway's Lease: the epoch that it has applied, by route, as JSON."""
RATES = "ostiary.dev/checks-per-second"
"""Annotation of a gateway's Lease: the checks that come to it, by route, as JSON."""
CAPACITY = "ostiary.dev/checks-per-second"
"""Annotation of a version's Deployment: what one pod carries, also when the ModelVersion is gone."""
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation of a pod: where pods are taken away, those with the least go first (Kubernetes' own)."""
AUDIENCE = "ostiary.dev/audience"
"""Annotation of a TrafficRoute: tenants and headers of the pins that the keeper wrote, as JSON."""
MANAGER = "ostiary-keeper"
"""The field manager of all that the keeper writes."""


@dataclass(frozen=True)
class Kind:
    """A kind of object. `select`: the label that an object has to have for the keeper to care for it."""

    name: str
    plural: str
    group: str = "ostiary.dev"
    version: str = "v1alpha1"
    select: str = ""

    @property
    def api_version(self) -> str:
        """As objects have it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str = "") -> str:
        """Of one object, or of all in a namespace."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" + (f"/{name}" if name else "")


MODEL_DEPLOYMENTS = Kind("ModelDeployment", "modeldeployments")
MODEL_VERSIONS = Kind("ModelVersion", "modelversions")
MODEL_OVERRIDES = Kind("ModelOverride", "modeloverrides")
ANALYSIS_TEMPLATES = Kind("AnalysisTemplate", "analysistemplates")
ANALYSIS_RUNS = Kind("AnalysisRun", "analysisruns")
TRAFFIC_ROUTES = Kind("TrafficRoute", "trafficroutes")
GPU_AUTOSCALERS = Kind("GPUAutoscaler", "gpuautoscalers")
DEPLOYMENTS = Kind("Deployment", "deployments", "apps", "v1", MODEL)
PODS = Kind("Pod", "pods", "", "v1", MODEL)
LEASES = Kind("Lease", "leases", "coordination.k8s.io", "v1", f"{COMPONENT}=gateway")
JOBS = Kind("Job", "jobs", "batch", "v1", GATE)
RESOURCE_QUOTAS = Kind("ResourceQuota", "resourcequotas", "", "v1")
SERVICES = Kind("Service", "services", "", "v1")
EVENTS = Kind("Event", "events", "", "v1")

WATCHED = (
    MODEL_VERSIONS,
    MODEL_OVERRIDES,
    ANALYSIS_TEMPLATES,
    ANALYSIS_RUNS,
    TRAFFIC_ROUTES,
    DEPLOYMENTS,
    PODS,
    LEASES,
    GPU_AUTOSCALERS,
    JOBS,
    RESOURCE_QUOTAS,
    MODEL_DEPLOYMENTS,
)
"""What is kept in mind."""


def labels(obj: Json) -> Json:
    """The labels, or none."""
    return obj["metadata"].get("labels") or {}


def annotated(obj: Json) -> Json:
    """The annotations, or none."""
    return obj["metadata"].get("annotations") or {}


def owned_by(obj: Json, owner: Json) -> bool:
    """Whether the owner is this very object, not one that was called the same before."""
    references = obj["metadata"].get("ownerReferences") or ()
    return any(one.get("uid") == owner["metadata"]["uid"] for one in references)


def owner_reference(owner: Json) -> Json:
    """For metadata.ownerReferences of what goes when a ModelDeployment goes."""
    return {
        "apiVersion": MODEL_DEPLOYMENTS.api_version,
        "kind": MODEL_DEPLOYMENTS.name,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
