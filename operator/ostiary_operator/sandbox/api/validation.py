"""What Kubernetes refuses of its own kinds: the faults that people make, in its words."""

import re
from collections.abc import Callable
from typing import Any

from ostiary_operator.sandbox.api.conversion import converted
from ostiary_operator.sandbox.api.field_checks import IMMUTABLE, Errors, not_negative, one_of
from ostiary_operator.sandbox.api.job_rules import check_job
from ostiary_operator.sandbox.api.metadata import KEY_WORDS, check_labels
from ostiary_operator.sandbox.api.resources import CORE_EVENTS, EVENTS, Resource
from ostiary_operator.sandbox.api.rules import check_rules
from ostiary_operator.sandbox.api.selectors import good_key, of_object
from ostiary_operator.sandbox.api.status import (
    FieldError,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)
from ostiary_operator.sandbox.api.structural import check_structural
from ostiary_operator.sandbox.api.values import at, quantity, same

Json = dict[str, Any]


def check(resource: Resource, new: Json, old: Json | None) -> Errors:
    """What is wrong with an object, and with its change where there was one before."""
    found = _new_event if resource.group == EVENTS else _CHECKS.get(resource.kind)
    return found(new, old) if found else []


def _pod_spec(spec: Json, path: str) -> Errors:
    errors: Errors = []
    if not spec.get("containers"):
        errors.append(required(f"{path}.containers"))
    errors += one_of(spec.get("restartPolicy"), ("Always", "OnFailure", "Never"), f"{path}.restartPolicy")
    seen: set[str] = set()
    for word in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(word) or ()):
            where = f"{path}.{word}[{index}]"
            errors += _container(container, where)
            name = container.get("name", "")
            if name and name in seen:
                errors.append(duplicate(f"{where}.name", name))
            seen.add(name)
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        if toleration.get("operator", "Equal") not in ("Equal", "Exists", "Lt", "Gt"):
            where = f"{path}.tolerations[{index}].operator"
            errors.append(unsupported(where, toleration["operator"], ("Equal", "Exists")))
    return errors


def _container(container: Json, path: str) -> Errors:
    errors: Errors = []
    if not container.get("name"):
        errors.append(required(f"{path}.name"))
    if not container.get("image"):
        errors.append(required(f"{path}.image"))
    for index, port in enumerate(container.get("ports") or ()):
        number = port.get("containerPort")
        if not number:
            errors.append(required(f"{path}.ports[{index}].containerPort"))
        elif not 0 < number < 65536:
            detail = "must be between 1 and 65535, inclusive"
            errors.append(invalid_value(f"{path}.ports[{index}].containerPort", number, detail))
    limits = at(container, "resources", "limits", default={})
    for name, value in at(container, "resources", "requests", default={}).items():
        where = f"{path}.resources.requests"
        if name in limits and quantity(value) > quantity(limits[name]):
            errors.append(
                invalid_value(where, value, f"must be less than or equal to {name} limit of {limits[name]}")
            )
        elif "/" in name and quantity(value) != quantity(limits.get(name, 0)):
            errors.append(invalid_value(where, value, f"must be equal to {name} limit"))
    return errors


_CHANGEABLE = (
    "activeDeadlineSeconds",
    "tolerations",
    "terminationGracePeriodSeconds",
    "schedulingGates",
    "nodeName",
)


def _pod(new: Json, old: Json | None) -> Errors:
    errors = _pod_spec(new.get("spec") or {}, "spec")
    if old is not None:

        def fixed(spec: Json) -> Json:
            kept = {key: value for key, value in spec.items() if key not in _CHANGEABLE}
            for word in ("containers", "initContainers"):
                if word in kept:
                    kept[word] = [one | {"image": ""} for one in kept[word]]
            return kept

        if not same(fixed(new["spec"]), fixed(old["spec"])):
            detail = (
                "pod updates may not change fields other than `spec.containers[*].image`,"
                "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
                "(only additions to existing tolerations),"
                "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
            )
            errors.append(forbidden_field("spec", detail))
    return errors


def _workload(new: Json, old: Json | None) -> Errors:
    spec = new.get("spec") or {}
    names = ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    errors = not_negative(spec, names, "spec")
    template, selector = spec.get("template"), spec.get("selector")
    if selector is None:
        errors.append(required("spec.selector"))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        detail = "empty selector is invalid for deployment"
        errors.append(invalid_value("spec.selector", selector, detail))
    if template is None:
        return [*errors, required("spec.template")]
    labels = at(template, "metadata", "labels", default={})
    errors += check_labels(labels, "spec.template.metadata.labels")
    found = of_object(selector)
    if found is not None and not found.matches(labels):
        detail = "`selector` does not match template `labels`"
        errors.append(invalid_value("spec.template.metadata.labels", labels, detail))
    errors += _pod_spec(template.get("spec") or {}, "spec.template.spec")
    policy = at(template, "spec", "restartPolicy")
    if policy not in (None, "Always"):
        errors.append(unsupported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if old is not None and not same(selector, at(old, "spec", "selector")):
        errors.append(invalid_value("spec.selector", selector, IMMUTABLE))
    return errors


def _job(new: Json, old: Json | None) -> Errors:
    template = at(new, "spec", "template")
    if template is None:
        return [required("spec.template")]
    return _pod_spec(template.get("spec") or {}, "spec.template.spec") + check_job(new, old)


def _deployment(new: Json, old: Json | None) -> Errors:
    errors = _workload(new, old)
    strategy = at(new, "spec", "strategy", default={})
    errors += one_of(strategy.get("type"), ("Recreate", "RollingUpdate"), "spec.strategy.type")
    if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate") is not None:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        errors.append(forbidden_field("spec.strategy.rollingUpdate", detail))
    rolling = strategy.get("rollingUpdate") or {}
    if (
        rolling
        and str(rolling.get("maxSurge")) in ("0", "0%")
        and str(rolling.get("maxUnavailable")) in ("0", "0%")
    ):
        detail = "may not be 0 when `maxSurge` is 0"
        errors.append(
            invalid_value("spec.strategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], detail)
        )
    deadline, ready = (
        at(new, "spec", "progressDeadlineSeconds"),
        at(new, "spec", "minReadySeconds", default=0),
    )
    if isinstance(deadline, int) and deadline <= ready:
        detail = "must be greater than minReadySeconds"
        errors.append(invalid_value("spec.progressDeadlineSeconds", deadline, detail))
    return errors


def _service(new: Json, old: Json | None) -> Errors:
    spec = new.get("spec") or {}
    errors = one_of(spec.get("type"), ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"), "spec.type")
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        errors.append(required("spec.ports"))
    names = set()
    for index, port in enumerate(ports):
        number = port.get("port") or 0
        if not 0 < number < 65536:
            detail = "must be between 1 and 65535, inclusive"
            errors.append(invalid_value(f"spec.ports[{index}].port", number, detail))
        if len(ports) > 1 and not port.get("name"):
            errors.append(required(f"spec.ports[{index}].name"))
        if port.get("name") in names:
            errors.append(duplicate(f"spec.ports[{index}].name", port["name"]))
        names.add(port.get("name"))
    if old is not None and at(old, "spec", "clusterIP") and spec.get("clusterIP") != old["spec"]["clusterIP"]:
        detail = "may not change once set"
        errors.append(invalid_value("spec.clusterIPs[0]", [spec.get("clusterIP")], detail))
    return errors


_MOST_DATA = 1024 * 1024
_DATA_KEY = re.compile(r"^[-._a-zA-Z0-9]{1,253}$")
_DATA_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  "
    "or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _frozen_data(new: Json, old: Json | None) -> Errors:
    bad = [
        invalid_value(f"{word}[{key}]", key, _DATA_KEY_WORDS)
        for word in ("data", "binaryData")
        for key in new.get(word) or ()
        if not _DATA_KEY.match(key) or key in (".", "..")
    ]
    data, binary = (list((new.get(word) or {}).values()) for word in ("data", "binaryData"))
    if new.get("kind") == "Secret":
        data, binary = [], data
    size = sum(len(text.encode()) for text in data) + sum(len(text) * 3 // 4 for text in binary)
    if size > _MOST_DATA:
        told = f"Too long: may not be more than {_MOST_DATA} bytes"
        bad.append(FieldError("FieldValueTooLong", "data" if new.get("kind") == "Secret" else "", told))
    return bad + _frozen(new, old)


def _frozen(new: Json, old: Json | None) -> Errors:
    if old is None or not old.get("immutable"):
        return []
    changed = any(not same(new.get(word), old.get(word)) for word in ("data", "binaryData", "stringData"))
    errors = [forbidden_field("data", "field is immutable when `immutable` is set")] if changed else []
    if not new.get("immutable"):
        errors.append(forbidden_field("immutable", "field is immutable when `immutable` is set"))
    return errors


def _secret(new: Json, old: Json | None) -> Errors:
    errors = _frozen_data(new, old)
    if old is not None and new.get("type") != old.get("type"):
        errors.append(invalid_value("type", new.get("type"), IMMUTABLE))
    return errors


def _slice(new: Json, old: Json | None) -> Errors:
    errors = one_of(new.get("addressType"), ("IPv4", "IPv6", "FQDN"), "addressType")
    if old is not None and new.get("addressType") != old.get("addressType"):
        errors.append(invalid_value("addressType", new.get("addressType"), IMMUTABLE))
    for index, endpoint in enumerate(new.get("endpoints") or ()):
        if not endpoint.get("addresses"):
            errors.append(required(f"endpoints[{index}].addresses", "must contain at least 1 address"))
    return errors


def _lease(new: Json, old: Json | None) -> Errors:
    spec = new.get("spec") or {}
    detail = "must be greater than 0"
    duration = spec.get("leaseDurationSeconds")
    errors = []
    if duration is not None and duration <= 0:
        errors.append(invalid_value("spec.leaseDurationSeconds", duration, detail))
    if spec.get("leaseTransitions") is not None and spec["leaseTransitions"] < 0:
        detail = "must be greater than or equal to 0"
        errors.append(invalid_value("spec.leaseTransitions", spec["leaseTransitions"], detail))
    return errors


def _budget(new: Json, old: Json | None) -> Errors:
    spec = new.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        detail = "minAvailable and maxUnavailable cannot be both set"
        return [invalid_value("spec", spec, detail)]
    return []


def _binding(new: Json, old: Json | None) -> Errors:
    reference = new.get("roleRef") or {}
    errors = one_of(reference.get("kind"), ("Role", "ClusterRole"), "roleRef.kind")
    if not reference.get("name"):
        errors.append(required("roleRef.name"))
    if old is not None and not same(reference, old.get("roleRef")):
        errors.append(invalid_value("roleRef", reference, "cannot change roleRef"))
    return errors


def _role(new: Json, old: Json | None) -> Errors:
    errors = []
    for index, rule in enumerate(new.get("rules") or ()):
        where = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.append(required(f"{where}.verbs", "verbs must contain at least one value"))
        if not rule.get("nonResourceURLs"):
            if not rule.get("apiGroups"):
                errors.append(
                    required(f"{where}.apiGroups", "resource rules must supply at least one api group")
                )
            if not rule.get("resources"):
                errors.append(
                    required(f"{where}.resources", "resource rules must supply at least one resource")
                )
    return errors


_LIMITS = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}


def _event(new: Json, old: Json | None) -> Errors:
    """What holds for every Event; new ones, which have an eventTime, must say more."""
    namespace, involved = new["metadata"].get("namespace", ""), at(new, "involvedObject", "namespace") or ""
    errors: Errors = []
    if not new.get("eventTime"):
        if namespace != involved and (involved or namespace != "default"):
            errors.append(_another_namespace(involved))
        return errors
    if not involved and namespace not in ("default", "kube-system"):
        errors.append(_another_namespace(involved))
    controller = new.get("reportingComponent") or ""
    if not controller:
        errors.append(required("reportingController"))
    elif not good_key(controller):
        errors.append(invalid_value("reportingController", controller, KEY_WORDS))
    errors += [required(name) for name in ("reportingInstance", "action", "reason") if not new.get(name)]
    for name, most in _LIMITS.items():
        if len(new.get(name) or "") > most:
            errors.append(invalid_value(name, "", f"can have at most {most} characters"))
    return errors


def _another_namespace(involved: str) -> FieldError:
    return invalid_value("involvedObject.namespace", involved, "does not match event.namespace")


_UNSET = ("firstTimestamp", "lastTimestamp", "count", "source")
_KEPT = (
    "involvedObject", "reason", "message", *_UNSET, "type", "eventTime", "action", "related",
    "reportingComponent", "reportingInstance",
)  # fmt: skip


def _new_event(new: Json, old: Json | None) -> Errors:
    """What `events.k8s.io` asks for besides, told by the names of the core group as Kubernetes does."""
    event = converted(CORE_EVENTS, new)
    errors = _event(event, None)
    if old is not None:
        before = converted(CORE_EVENTS, old)
        changed = [name for name in _KEPT if not same(event.get(name), before.get(name))]
        return errors + [invalid_value(name, event.get(name), IMMUTABLE) for name in changed]
    series = event.get("series")
    if series is not None and series.get("count", 0) < 2:
        errors.append(invalid_value("series.count", "", "should be at least 2"))
    if series is not None and not series.get("lastObservedTime"):
        errors.append(required("series.lastObservedTime"))
    if not event.get("eventTime"):
        errors.append(required("eventTime"))
    if event.get("type") not in ("Normal", "Warning"):
        errors.append(invalid_value("type", "", f"has invalid value: {event.get('type', '')}"))
    return errors + [invalid_value(name, "", "needs to be unset") for name in _UNSET if event.get(name)]


def _schemas(versions: list[Json]) -> Errors:
    """Schemas of all versions; one that they have in common is told of once, as `spec.validation`."""
    errors: Errors = []
    given = [at(version, "schema", "openAPIV3Schema") for version in versions]
    shared = all(same(one, given[0]) for one in given)
    for index, schema in enumerate(given[:1] if shared else given):
        place = "spec.validation" if shared else f"spec.versions[{index}].schema"
        path = f"{place}.openAPIV3Schema"
        if schema is None:
            errors.append(required(path, "schemas are required"))
        else:
            errors += check_structural(schema, path) or check_rules(schema, path)
    return errors


def _definition(new: Json, old: Json | None) -> Errors:
    spec = new.get("spec") or {}
    names = spec.get("names") or {}
    errors: Errors = []
    if not spec.get("group"):
        errors.append(required("spec.group"))
    for word in ("plural", "kind"):
        if not names.get(word):
            errors.append(required(f"spec.names.{word}"))
    expected = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if new["metadata"].get("name") != expected:
        detail = 'must be spec.names.plural+"."+spec.group'
        errors.append(invalid_value("metadata.name", new["metadata"].get("name"), detail))
    errors += one_of(spec.get("scope"), ("Cluster", "Namespaced"), "spec.scope")
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        detail = "must have exactly one version marked as storage version"
        errors.append(invalid_value("spec.versions", [version.get("name") for version in versions], detail))
    if at(spec, "conversion", "strategy") == "Webhook":
        detail = "the sandbox converts by the strategy None alone"
        errors.append(forbidden_field("spec.conversion.strategy", detail))
    elif at(spec, "conversion", "strategy") not in (None, "None"):
        errors.append(
            unsupported("spec.conversion.strategy", spec["conversion"]["strategy"], ("None", "Webhook"))
        )
    errors += _schemas(versions)
    if old is not None:
        for word in ("group", "scope"):
            if spec.get(word) != old["spec"].get(word):
                errors.append(invalid_value(f"spec.{word}", spec.get(word), IMMUTABLE))
        for word in ("plural", "kind"):
            if names.get(word) != old["spec"]["names"].get(word):
                errors.append(invalid_value(f"spec.names.{word}", names.get(word), IMMUTABLE))
    return errors


_CHECKS: dict[str, Callable[[Json, Json | None], Errors]] = {
    "Pod": _pod,
    "Deployment": _deployment,
    "ReplicaSet": _workload,
    "Job": _job,
    "Service": _service,
    "ConfigMap": _frozen_data,
    "Secret": _secret,
    "EndpointSlice": _slice,
    "Lease": _lease,
    "PodDisruptionBudget": _budget,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "Role": _role,
    "ClusterRole": _role,
    "Event": _event,
    "CustomResourceDefinition": _definition,
}
