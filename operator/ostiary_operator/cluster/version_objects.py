"""What runs a version: one Deployment, and the Service by which gateways find its pods. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from ostiary_operator.cluster.kinds import CAPACITY, MODEL, VERSION, Json, owner_reference
from ostiary_operator.resources.model_version import ModelVersionSpec

CONTAINER, PORT, FOLDER = "pod", "grpc", "/bundle"
"""Of the pod template: the container that serves, its port, and where it finds the bundle."""


class BadTemplate(ValueError):  # noqa: N818  # says what the template is
    """A pod template that no version can run by; the message says where and what to do."""


def read_template(path: Path) -> Json:
    """A PodTemplateSpec in YAML, with a container `pod` that has a port `grpc`.

    Raises:
        BadTemplate: it is none.
        OSError: it cannot be read.
    """
    try:
        template = yaml.safe_load(path.read_text(encoding="utf-8"))
        container = serving(template["spec"]["containers"])
        ports = {one.get("name"): one["containerPort"] for one in container.get("ports") or ()}
    except yaml.YAMLError as error:
        raise BadTemplate(f"{path}: no YAML: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise BadTemplate(f"{path}: a PodTemplateSpec is needed: spec.containers with names") from error
    except LookupError as error:
        raise BadTemplate(f"{path}: {error}") from error
    if PORT not in ports:
        raise BadTemplate(f"{path}: spec.containers: give the container {CONTAINER} a port named {PORT}")
    return dict(template)


def deployment(
    owner: Json, name: str, version: ModelVersionSpec, replicas: int, template: Mapping[str, Any]
) -> Json:
    """The Deployment of a version.

    Raises:
        BadTemplate: nothing in the template brings the bundle to where its URI says it has to come from.
    """
    marks = {MODEL: version.model, VERSION: name}
    pod: Json = deepcopy(dict(template))
    metadata = pod.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **marks}
    pod["spec"] = filled(pod["spec"], version)
    return {
        "metadata": {
            **_named(owner, name, marks),
            "annotations": {CAPACITY: f"{version.checks_per_second:g}"},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": marks},
            # A pod that serves goes when another is ready in its place; there are GPUs for one more.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": pod,
        },
    }


def service(owner: Json, name: str, version: ModelVersionSpec) -> Json:
    """The Service of a version: its labels are those of its EndpointSlices."""
    marks = {MODEL: version.model, VERSION: name}
    ports = [{"name": PORT, "port": 8543, "targetPort": PORT, "protocol": "TCP"}]
    return {
        "metadata": _named(owner, name, marks),
        "spec": {"clusterIP": "None", "selector": marks, "ports": ports},
    }


def _named(owner: Json, name: str, marks: Json) -> Json:
    namespace = owner["metadata"]["namespace"]
    return {
        "name": name, "namespace": namespace, "labels": marks, "ownerReferences": [owner_reference(owner)],
    }  # fmt: skip


def filled(spec: Json, version: ModelVersionSpec) -> Json:
    """A pod's spec with the version's own: image, GPUs and bundle. It is changed.

    Raises:
        BadTemplate: nothing brings the bundle to where its URI says it has to come from.
    """
    container = serving(spec["containers"])
    container["image"] = version.image
    if version.gpu.count:
        limits = container.setdefault("resources", {}).setdefault("limits", {})
        limits[version.gpu.resource] = str(version.gpu.count)
    scheme, _, rest = version.artifact.uri.partition("://")
    folder = rest if scheme == "file" else FOLDER
    told = {
        "OSTIARY_BUNDLE_URI": version.artifact.uri,
        "OSTIARY_BUNDLE_DIGEST": version.artifact.digest,
        "OSTIARY_POD_BUNDLE": folder,
    }
    for each in (container, *spec.get("initContainers", ())):
        kept = [one for one in each.get("env") or () if one["name"] not in told]
        each["env"] = kept + [{"name": name, "value": value} for name, value in told.items()]
    if scheme != "file":
        _mount(spec, container, _volume(spec, scheme, rest, version), read_only=True)
        for each in spec.get("initContainers", ()):
            _mount(spec, each, None, read_only=False)
    return spec


def _volume(spec: Json, scheme: str, rest: str, version: ModelVersionSpec) -> Json:
    """Where the bundle is, as Kubernetes mounts it."""
    if scheme == "oci":
        # The artifact's digest is the bundle's, which its pods measure: a registry has another for the image.
        return {"image": {"reference": rest, "pullPolicy": "IfNotPresent"}}
    if scheme == "pvc":
        return {"persistentVolumeClaim": {"claimName": rest.rstrip("/"), "readOnly": True}}
    if not spec.get("initContainers"):
        raise BadTemplate(
            f"artifact.uri: {version.artifact.uri}: nothing brings it to the pod: use oci://, pvc:// or "
            "file://, or give the pod template an initContainer that fetches OSTIARY_BUNDLE_URI to /bundle"
        )
    return {"emptyDir": {}}


def _mount(spec: Json, container: Json, volume: Json | None, read_only: bool) -> None:
    if volume is not None:
        kept = [one for one in spec.get("volumes") or () if one["name"] != "bundle"]
        spec["volumes"] = [*kept, {"name": "bundle", **volume}]
    mounts = [one for one in container.get("volumeMounts") or () if one["name"] != "bundle"]
    mount = {"name": "bundle", "mountPath": FOLDER, "readOnly": read_only}
    container["volumeMounts"] = [*mounts, mount]


def serving(containers: list[Json]) -> Json:
    """The container that serves. Raises LookupError."""
    for one in containers:
        if one["name"] == CONTAINER:
            return one
    raise LookupError(f"spec.containers: one has to be named {CONTAINER}")
