"""Gates as Jobs: what such a Job is, and what one that is there says. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any, Literal

from ostiary_operator.cluster.kinds import (
    ATTEMPT,
    GATE,
    MODEL,
    VERSION,
    Json,
    annotated,
    labels,
    owner_reference,
)
from ostiary_operator.cluster.version_objects import FOLDER, filled, serving
from ostiary_operator.resources.gates import GoldenSetGate, JobGateName, ReplayGate
from ostiary_operator.resources.model_version import ModelVersionSpec
from ostiary_operator.rollout.actions import StartGate
from ostiary_operator.rollout.snapshot import GateJob

Phase = Literal["Running", "Passed", "Failed", "Inconclusive"]
CONTAINER, REPORT = "gate", "/dev/termination-log"
_NOT_ENOUGH = 3
"""Exit code of `ostiary model eval` and `ostiary policy replay` where what was asked for does not hold."""
_TRIES = 2
_OWNER = "batch.kubernetes.io/controller-uid"
_LONGEST = 1000
_GRACE = 15.0
"""Seconds after a Job's end in which its pod's last words may be told later than that end."""
_CANNOT_START = frozenset(
    ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
     "CreateContainerConfigError", "CreateContainerError", "RunContainerError")
)  # fmt: skip
_NAMES: Mapping[str, JobGateName] = {"goldenSet": "goldenSet", "replay": "replay"}


def gate_job(
    owner: Json,
    action: StartGate,
    version: ModelVersionSpec,
    gate: GoldenSetGate | ReplayGate,
    template: Mapping[str, Any],
) -> Json:
    """The Job of a gate. Its pod is like those that serve the version, without what serving alone needs;
    neither Service nor Deployment of the version select it.

    Raises:
        BadTemplate: nothing in the template brings the bundle to where its URI says it has to come from.
    """
    marks = {MODEL: version.model, GATE: action.gate}
    rules = [
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [_NOT_ENOUGH]},
        },
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    metadata = {
        "name": action.name,
        "namespace": owner["metadata"]["namespace"],
        "labels": {**marks, VERSION: action.version},
        "annotations": {ATTEMPT: str(action.attempt)},
        "ownerReferences": [owner_reference(owner)],
    }
    spec = {
        "backoffLimit": _TRIES,
        "activeDeadlineSeconds": gate.deadline_seconds,
        "podFailurePolicy": {"rules": rules},
        "template": _pod(version, gate, template, marks),
    }
    return {"metadata": metadata, "spec": spec}


def _pod(
    version: ModelVersionSpec, gate: GoldenSetGate | ReplayGate, template: Mapping[str, Any], marks: Json
) -> Json:
    pod: Json = deepcopy(dict(template))
    said = pod.get("metadata") or {}
    annotations = {
        name: value
        for name, value in (said.get("annotations") or {}).items()
        if not name.startswith("prometheus.io/")
    }
    spec = filled(pod["spec"], version)
    container = _container(serving(spec["containers"]), spec)
    if isinstance(gate, ReplayGate):
        volumes = _replay(container, gate)
        container.get("resources", {}).get("limits", {}).pop(version.gpu.resource, None)
    else:
        volumes = _golden_set(container, gate, version)
    needed = _mounted([container, *spec.get("initContainers", ())])
    spec["volumes"] = [*(one for one in spec.get("volumes") or () if one["name"] in needed), *volumes]
    spec |= {"containers": [container], "restartPolicy": "Never"}
    for served in ("topologySpreadConstraints", "readinessGates"):
        spec.pop(served, None)
    part = {"app.kubernetes.io/name": "ostiary-gate", "app.kubernetes.io/part-of": "ostiary"}
    return {"metadata": {"labels": part | marks, "annotations": annotations}, "spec": spec}


def _container(served: Json, spec: Json) -> Json:
    """The container that judges: image, bundle and surroundings of the one that serves. Of its other volumes
    it keeps those that hold nothing yet: configuration and keys are for serving.
    """
    kept = (
        "image",
        "imagePullPolicy",
        "command",
        "env",
        "envFrom",
        "resources",
        "securityContext",
        "workingDir",
    )
    empty = {one["name"] for one in spec.get("volumes") or () if "emptyDir" in one} | {"bundle"}
    mounts = [one for one in served.get("volumeMounts") or () if one["name"] in empty]
    return {
        "name": CONTAINER,
        **{name: served[name] for name in kept if name in served},
        "volumeMounts": mounts,
        "terminationMessagePath": REPORT,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _mounted(containers: Iterable[Json]) -> set[str]:
    return {mount["name"] for one in containers for mount in one.get("volumeMounts") or ()}


def _golden_set(container: Json, gate: GoldenSetGate, version: ModelVersionSpec) -> list[Json]:
    scheme, _, rest = version.artifact.uri.partition("://")
    bounds = [
        f"--at-{'most' if one.at_least is None else 'least'}={one.figure}="
        f"{one.at_most if one.at_least is None else one.at_least:g}"
        for one in gate.bounds
    ]
    bundle = rest if scheme == "file" else FOLDER
    container["args"] = [
        "model", "eval", "--bundle", bundle, "--photos", "/golden", "--json", *bounds, "--report", REPORT,
    ]  # fmt: skip
    return [_folder(container, "golden", gate.folder, "/golden")]


def _replay(container: Json, gate: ReplayGate) -> list[Json]:
    container["args"] = [
        "policy", "replay", "--policy", "/policy/policy.yaml", "--flip-budget", gate.flip_budget, "--json",
        "--report", REPORT, *(("--since", gate.since) if gate.since else ()),
    ]  # fmt: skip
    if gate.image is not None:
        container["image"] = gate.image
    volumes = [_folder(container, "policy", f"configmap://{gate.policy}", "/policy")]
    if gate.gateway is not None:
        volumes.append(_folder(container, "gateway", f"configmap://{gate.gateway}", "/gateway"))
        container["args"] += ["--config", "/gateway/gateway.yaml"]
    if gate.export is not None:
        container["args"] += ["--export", f"/record/{gate.export}"]
    if gate.folder is not None:
        volumes.append(_folder(container, "record", gate.folder, "/record"))
    if gate.credentials is not None:
        secret = {"secretRef": {"name": gate.credentials}}
        container["envFrom"] = [*container.get("envFrom", ()), secret]
    return volumes


def _folder(container: Json, name: str, uri: str, path: str) -> Json:
    """A volume, mounted in the container."""
    scheme, _, rest = uri.partition("://")
    mount = {"name": name, "mountPath": path, "readOnly": True}
    source: Json
    if scheme == "oci":
        source = {"image": {"reference": rest, "pullPolicy": "IfNotPresent"}}
    elif scheme == "configmap":
        source = {"configMap": {"name": rest}}
    else:
        claim, _, under = rest.partition("/")
        source = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        mount |= {"subPath": under} if under else {}
    container["volumeMounts"].append(mount)
    return {"name": name, **source}


def gate_seen(job: Json, pods: Iterable[Json], now: float) -> GateJob | None:
    """What a gate's Job says; None where it is no gate's. `pods`: of the model; those that are the Job's
    count.
    """
    name = _NAMES.get(str(labels(job).get(GATE)))
    try:
        attempt = int(annotated(job).get(ATTEMPT, ""))
    except ValueError:
        attempt = -1
    if name is None:
        return None
    own = [pod for pod in pods if labels(pod).get(_OWNER) == job["metadata"]["uid"]]
    phase, message, over = _stands(job, own, now)
    return GateJob(name, str(labels(job).get(VERSION)), attempt, phase, message[:_LONGEST], over)


def _stands(job: Json, pods: list[Json], now: float) -> tuple[Phase, str, bool]:
    """Phase, words, and whether nothing more is to come. Only a report that says so passes, and only one
    that says so fails.
    """
    ends = {code: message for pod in pods if (ended := _ended(pod)) for code, message in (ended,)}
    for one in (job.get("status") or {}).get("conditions") or ():
        if one.get("status") != "True" or one["type"] not in ("Complete", "Failed"):
            continue
        complete = one["type"] == "Complete"
        code = 0 if complete else _NOT_ENOUGH
        report = _report(ends.get(code, ""))
        if report is not None and report.get("passed") is complete:
            return ("Passed" if complete else "Failed"), str(report.get("words", "")), True
        said = ends.get(code) or next(iter(ends.values()), "")
        expected = complete or one.get("reason") == "PodFailurePolicy"
        if expected and not ends and now - _seconds(one.get("lastTransitionTime")) < _GRACE:
            return "Running", "has ended; its report is waited for", False
        why = "ended without a report" if complete else f"{one.get('reason')}: {one.get('message')}"
        words = str((report or {}).get("words") or said.strip())
        return "Inconclusive", f"{why}: {words}" if words else why, True
    problem = next((words for pod in pods if (words := _cannot_start(pod))), "")
    return ("Inconclusive" if problem else "Running"), problem, False


def _ended(pod: Json) -> tuple[int, str] | None:
    for one in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (one.get("state") or {}).get("terminated")
        if one.get("name") == CONTAINER and ended is not None:
            return int(ended.get("exitCode", -1)), str(ended.get("message") or "")
    return None


def _report(message: str) -> Json | None:
    try:
        found = json.loads(message)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _cannot_start(pod: Json) -> str:
    status = pod.get("status") or {}
    for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _CANNOT_START:
            said = f": {waiting['message']}" if waiting.get("message") else ""
            return f"pod {pod['metadata']['name']} cannot start: {waiting['reason']}{said}"
    return ""


def _seconds(time: object) -> float:
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return 0.0
