"""What Kubernetes' own kinds are when they do not say: the defaults of the API's documentation."""

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def set_defaults(kind: str, obj: Json) -> None:
    """Sets, in place, what is absent."""
    if fill := _DEFAULTS.get(kind):
        fill(obj)


def _default(value: Json, **fields: Any) -> Json:
    for key, inner in fields.items():
        if value.get(key) is None:
            value[key] = inner
    return value


def _pod_spec(spec: Json) -> None:
    _default(
        spec,
        restartPolicy="Always",
        dnsPolicy="ClusterFirst",
        terminationGracePeriodSeconds=30,
        securityContext={},
        schedulerName="default-scheduler",
    )
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        _container(container)
    for volume in spec.get("volumes") or ():
        for source in ("secret", "configMap", "projected"):
            if isinstance(volume.get(source), dict):
                _default(volume[source], defaultMode=420)


def _container(container: Json) -> None:
    image = str(container.get("image", ""))
    tag = image.rpartition("/")[2].partition(":")[2]
    latest = "@" not in image and tag in ("", "latest")
    _default(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="Always" if latest else "IfNotPresent",
        resources={},
    )
    for port in container.get("ports") or ():
        _default(port, protocol="TCP")
    limits, requests = (
        container["resources"].get("limits") or {},
        container["resources"].get("requests") or {},
    )
    if limits:
        container["resources"]["requests"] = limits | requests
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe := container.get(name):
            _default(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            if probe.get("httpGet"):
                _default(probe["httpGet"], path="/", scheme="HTTP")
            if probe.get("grpc"):
                _default(probe["grpc"], service="")
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference:
            _default(reference, apiVersion="v1")


def _pod(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    _pod_spec(spec)
    _default(spec, enableServiceLinks=True)


def _deployment(obj: Json) -> None:
    spec = _default(
        obj.setdefault("spec", {}), replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600
    )
    strategy = _default(spec.setdefault("strategy", {}), type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _default(strategy.setdefault("rollingUpdate", {}), maxSurge="25%", maxUnavailable="25%")
    _template(spec)


def _template(spec: Json) -> None:
    if isinstance(spec.get("template"), dict):
        spec["template"].setdefault("metadata", {})
        _pod_spec(spec["template"].setdefault("spec", {}))


def _replica_set(obj: Json) -> None:
    spec = _default(obj.setdefault("spec", {}), replicas=1)
    _template(spec)


def _job(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    ruled = spec.get("podFailurePolicy") or {}
    _default(
        spec,
        parallelism=1,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        podReplacementPolicy="Failed" if ruled else "TerminatingOrFailed",
    )
    for rule in ruled.get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            _default(pattern, status="True")
    _template(spec)
    _select_own_pods(obj)


def _select_own_pods(job: Json) -> None:
    """A Job's pods are told by its uid, unless it says itself how."""
    spec, uid = job["spec"], job["metadata"].get("uid")
    if spec.get("manualSelector") or spec.get("selector") or not uid or "template" not in spec:
        return
    told = {"controller-uid": uid, "job-name": job["metadata"].get("name", "")}
    labels = spec["template"]["metadata"].setdefault("labels", {}) or {}
    labels |= told | {f"batch.kubernetes.io/{name}": value for name, value in told.items()}
    spec["template"]["metadata"]["labels"] = labels
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def _service(obj: Json) -> None:
    spec = _default(obj.setdefault("spec", {}), sessionAffinity="None", type="ClusterIP")
    if spec["type"] != "ExternalName":
        _default(spec, internalTrafficPolicy="Cluster")
    for port in spec.get("ports") or ():
        _default(port, protocol="TCP")
        _default(port, targetPort=port.get("port"))


def _secret(obj: Json) -> None:
    _default(obj, type="Opaque")


def _slice(obj: Json) -> None:
    for port in obj.get("ports") or ():
        _default(port, name="", protocol="TCP")


def _namespace(obj: Json) -> None:
    labels = obj["metadata"].setdefault("labels", {})
    if obj["metadata"].get("name"):
        labels["kubernetes.io/metadata.name"] = obj["metadata"]["name"]


def _binding(obj: Json) -> None:
    for subject in obj.get("subjects") or ():
        group = {"User": "rbac.authorization.k8s.io", "Group": "rbac.authorization.k8s.io"}.get(
            subject.get("kind"), ""
        )
        if group:
            _default(subject, apiGroup=group)
    if isinstance(obj.get("roleRef"), dict):
        _default(obj["roleRef"], apiGroup="rbac.authorization.k8s.io")


def _webhooks(obj: Json) -> None:
    for hook in obj.get("webhooks") or ():
        _default(
            hook, failurePolicy="Fail", matchPolicy="Equivalent", namespaceSelector={}, objectSelector={}
        )
        _default(hook, timeoutSeconds=10)
        if obj["kind"] == "MutatingWebhookConfiguration":
            _default(hook, reinvocationPolicy="Never")
        for rule in hook.get("rules") or ():
            _default(rule, scope="*")


def _definition(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        _default(names, listKind=f"{names['kind']}List", singular=names["kind"].lower())
    _default(spec, conversion={"strategy": "None"})


_DEFAULTS: dict[str, Callable[[Json], None]] = {
    "Pod": _pod,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "Job": _job,
    "Service": _service,
    "Secret": _secret,
    "EndpointSlice": _slice,
    "Namespace": _namespace,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "ValidatingWebhookConfiguration": _webhooks,
    "MutatingWebhookConfiguration": _webhooks,
    "CustomResourceDefinition": _definition,
}
