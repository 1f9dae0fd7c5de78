"""`manifests/base`: an API server takes what it brings up, it fits together, and a gateway starts with it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from cluster.api_client import Api
from cluster.cert_manager import DEFINITIONS
from cluster.kubectl import Kubectl
from cluster.rights import BASE, granted
from gateway.kubernetes.stage import POLICY, route
from ostiary.cli.stack.files import free_ports
from ostiary.pki import create_ca
from ostiary.wire.identity import SpiffeId
from ostiary.wire.settings import load_settings
from ostiary_gateway.init import init_gateway
from ostiary_gateway.settings import GatewaySettings
from ostiary_moderation.settings import load_pod_settings

Json = dict[str, Any]
PAGE = BASE.parents[1] / "docs/kubernetes.md"
OVERLAY = re.search(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
SHIPPED_ROLES = BASE.parents[1] / "gateway/ostiary_gateway/defaults/roles.yaml"


@pytest.fixture
def rendered(newest: Kubectl) -> list[Json]:
    """All objects of the base."""
    return [one for one in yaml.safe_load_all(newest.run("kustomize", str(BASE))) if one]


def named(objects: list[Json], kind: str, name: str) -> Json:
    """The object of a kind whose name is this one, but for the hash that kustomize adds."""
    fits = re.compile(rf"{re.escape(name)}(-[a-z0-9]{{10}})?")
    (found,) = (one for one in objects if one["kind"] == kind and fits.fullmatch(one["metadata"]["name"]))
    return found


def template(objects: list[Json], name: str) -> Json:
    """Of a Deployment's pods; `ostiary-pod`: of versions' pods."""
    if name == "ostiary-pod":
        text = named(objects, "ConfigMap", "ostiary-keeper")["data"]["pod-template.yaml"]
        return dict(yaml.safe_load(text))
    return dict(named(objects, "Deployment", name)["spec"]["template"])


NAMES = ("ostiary-keeper", "ostiary-gateway", "ostiary-pod")


def test_the_api_server_takes_all_of_it(newest: Kubectl, rendered: list[Json]) -> None:
    """No unknown field, no missing one; the Deployments come up."""
    for one in DEFINITIONS:
        newest.run("apply", "-f", "-", stdin=one)
        newest.run("wait", "--for=condition=Established", f"crd/{one['metadata']['name']}", "--timeout=20s")
    objects = [one for one in rendered if one["kind"] != "Namespace"]
    for one in objects:
        one["metadata"]["namespace"] = newest.namespace
        for subject in one.get("subjects", ()):
            subject["namespace"] = newest.namespace
    newest.run(
        "apply", "--validate=strict", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": objects}
    )
    for name in ("ostiary-keeper", "ostiary-gateway"):
        newest.run("rollout", "status", f"deployment/{name}", "--timeout=20s")
    budget = json.loads(newest.run("get", "pdb", "ostiary-gateway", "-o", "json"))
    assert budget["status"]["expectedPods"] == 2
    assert budget["status"]["disruptionsAllowed"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_pods_are_restricted(rendered: list[Json], name: str) -> None:
    """Nobody is root, gains rights or writes to the image; each asks for memory and has a limit."""
    spec = template(rendered, name)["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", NAMES)
def test_what_pods_mount_is_there(rendered: list[Json], name: str) -> None:
    """ConfigMaps and certificates' Secrets are made here; two Secrets are the operator's own to make."""
    spec = template(rendered, name)["spec"]
    wanted = set(_mounted(spec))
    made = {("ConfigMap", one["metadata"]["name"]) for one in rendered if one["kind"] == "ConfigMap"}
    made |= {("Secret", one["spec"]["secretName"]) for one in rendered if one["kind"] == "Certificate"}
    assert wanted - made <= {("Secret", "ostiary-gateway-keys")}
    claims = {
        one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if "persistentVolumeClaim" in one
    }
    assert claims <= {one["metadata"]["name"] for one in rendered if one["kind"] == "PersistentVolumeClaim"}


def _mounted(spec: Json) -> Iterator[tuple[str, str]]:
    for volume in spec["volumes"]:
        for source in (volume, *volume.get("projected", {}).get("sources", ())):
            if "configMap" in source:
                yield "ConfigMap", source["configMap"]["name"]
            if "secret" in source:
                yield "Secret", source["secret"].get("secretName") or source["secret"]["name"]


def test_selectors_find_their_pods(rendered: list[Json]) -> None:
    """Budgets, the Service and network policies select pods that there are, by ports that they have."""
    labels = {name: template(rendered, name)["metadata"]["labels"].items() for name in NAMES}
    for one in rendered:
        if one["kind"] not in ("PodDisruptionBudget", "Service", "NetworkPolicy"):
            continue
        spec = one["spec"]
        chosen = spec.get("podSelector") or spec.get("selector")
        selector = chosen.get("matchLabels", chosen).items()
        assert any(selector <= of for of in labels.values()), one["metadata"]["name"]
    for name in NAMES:
        ports = {port["name"] for port in template(rendered, name)["spec"]["containers"][0]["ports"]}
        assert ports >= ({"admin"} if name == "ostiary-keeper" else {"grpc", "admin"})


def test_identities_agree(rendered: list[Json], tmp_path: Path) -> None:
    """Gateways have the ID that pods admit and roles bind; both have the names that they are called by."""
    (tmp_path / "pod.yaml").write_text(named(rendered, "ConfigMap", "ostiary-pod")["data"]["pod.yaml"])
    gateway, pod = (
        named(rendered, "Certificate", name)["spec"] for name in ("ostiary-gateway", "ostiary-pod")
    )
    assert list(load_pod_settings(tmp_path / "pod.yaml").clients) == gateway["uris"]
    roles = yaml.safe_load(named(rendered, "ConfigMap", "ostiary-roles")["data"]["roles.yaml"])
    assert {"id": gateway["uris"][0], "role": "gateway"} in roles["bindings"]
    assert gateway["dnsNames"] == [
        f"{named(rendered, 'Service', 'ostiary-gateway')['metadata']['name']}.ostiary.svc"
    ]
    assert pod["dnsNames"] == ["*.ostiary.svc"]


def test_roles_are_those_that_ship() -> None:
    """Whoever installs the base begins with what `ostiary gateway init` writes."""
    assert (BASE / "gateway/roles.yaml").read_text() == SHIPPED_ROLES.read_text()


def laid_out(rendered: list[Json], root: Path) -> Path:
    """What a gateway's container sees of its volumes, below a folder; its settings."""
    folder = root / "etc/ostiary"
    init_gateway(folder / "keys", trust_domain="ostiary.local", origin="ostiary.local/log")
    spec = named(rendered, "Certificate", "ostiary-gateway")["spec"]
    issued = root / "issued"
    create_ca(root / "ca").issue(issued, SpiffeId.parse(spec["uris"][0]), spec["dnsNames"])
    (folder / "tls").mkdir()
    for name, source in (("ca.crt", "ca.pem"), ("tls.crt", "cert.pem"), ("tls.key", "key.pem")):
        (folder / "tls" / name).write_bytes((issued / source).read_bytes())
    for config in ("ostiary-gateway", "ostiary-roles"):
        for name, text in named(rendered, "ConfigMap", config)["data"].items():
            (folder / name).write_text(text.replace("/var/lib/ostiary", f"{root}/var/lib/ostiary"))
    (root / "var/lib/ostiary/record").mkdir(parents=True)
    return folder / "gateway.yaml"


def test_the_overlay_of_the_page(newest: Kubectl, tmp_path: Path) -> None:
    """It is rendered over the base; what it says to gateways is taken by them."""
    assert OVERLAY
    shutil.copytree(BASE, tmp_path / "manifests/base")
    (tmp_path / "kustomization.yaml").write_text(OVERLAY[1])
    objects = list(yaml.safe_load_all(newest.run("kustomize", str(tmp_path))))
    (container,) = template(objects, "ostiary-gateway")["spec"]["containers"]
    assert container["image"] == "registry.example/ostiary-gateway:2026.11"
    told = {one["name"]: one.get("value", "postgresql://ostiary@db/ostiary") for one in container["env"]}
    settings = load_settings(GatewaySettings, laid_out(objects, tmp_path / "root"), "OSTIARY_GATEWAY_", told)
    assert settings.evidence.s3
    assert settings.evidence.s3.bucket == "ostiary-evidence"
    (keeper,) = template(objects, "ostiary-keeper")["spec"]["containers"]
    assert [one["name"] for one in keeper["env"]] == ["OSTIARY_KEEPER_PROMETHEUS"]


def test_the_overlay_for_a_kms(newest: Kubectl, tmp_path: Path) -> None:
    """docs/record.md: gateway and plug-in share the socket's folder; the key file is asked for no more."""
    text = BASE.parents[1].joinpath("docs/record.md").read_text(encoding="utf-8")
    (overlay,) = re.findall(r"^```yaml\n(apiVersion: kustomize.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shutil.copytree(BASE, tmp_path / "manifests/base")
    (tmp_path / "kustomization.yaml").write_text(overlay)
    objects = list(yaml.safe_load_all(newest.run("kustomize", str(tmp_path))))
    spec = template(objects, "ostiary-gateway")["spec"]
    (plugin,), (container,) = spec["initContainers"], spec["containers"]
    assert plugin["restartPolicy"] == "Always"
    told = {one["name"]: one.get("value", "postgresql://ostiary@db/ostiary") for one in container["env"]}
    settings = load_settings(GatewaySettings, laid_out(objects, tmp_path / "root"), "OSTIARY_GATEWAY_", told)
    assert settings.evidence.key is None
    assert settings.evidence.kms
    assert str(settings.evidence.kms.socket) in plugin["args"][0]
    shared = str(settings.evidence.kms.socket.parent)
    for each in (plugin, container):
        assert {"name": "kms", "mountPath": shared} in each["volumeMounts"]
    secrets = [one["secret"] for one in spec["volumes"][0]["projected"]["sources"] if "secret" in one]
    assert [one["key"] for one in secrets[-1]["items"]] == ["log.key"]


def test_what_was_in_force_can_outlive_the_pod(newest: Kubectl, tmp_path: Path) -> None:
    """With the component it lies on the record's volume, in a folder of its own, and on no other."""
    shutil.copytree(BASE.parent, tmp_path / "manifests")
    overlay = {"resources": ["manifests/base"], "components": ["manifests/components/last-known"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    objects = list(yaml.safe_load_all(newest.run("kustomize", str(tmp_path))))
    spec = template(objects, "ostiary-gateway")["spec"]
    (volume,) = (one for one in spec["volumes"] if one["name"] == "last-known")
    claim = named(objects, "PersistentVolumeClaim", "ostiary-record")
    assert volume == {"name": "last-known", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    (container,) = spec["containers"]
    mounts = [one for one in container["volumeMounts"] if one["name"] == "last-known"]
    assert mounts == [
        {"name": "last-known", "mountPath": "/var/lib/ostiary/last-known", "subPath": "last-known"}
    ]


def test_settings_name_what_is_mounted(rendered: list[Json], tmp_path: Path) -> None:
    """What a gateway reads is in its configuration, what it writes on a volume that can be written."""
    path = laid_out(rendered, tmp_path)
    store = {"OSTIARY_GATEWAY_STORE": "postgresql://ostiary@db/ostiary"}
    settings = load_settings(GatewaySettings, path, "OSTIARY_GATEWAY_", store)
    (container,) = template(rendered, "ostiary-gateway")["spec"]["containers"]
    mounts = {
        PurePosixPath(one["mountPath"]): one.get("readOnly", False) for one in container["volumeMounts"]
    }

    def mount(of: Path | None) -> PurePosixPath:
        assert of is not None
        there = PurePosixPath("/") / of.relative_to(tmp_path)
        return max((one for one in mounts if there.is_relative_to(one)), key=lambda one: len(one.parts))

    read = [
        settings.tls.ca,
        settings.tls.cert,
        settings.tls.key,
        settings.roles,
        settings.log.key,
        settings.evidence.key,
    ]
    assert {mount(one) for one in read} == {PurePosixPath("/etc/ostiary")}
    assert settings.kubernetes
    written = (settings.log.dir, settings.evidence.dir, settings.kubernetes.last_known)
    assert not any(mounts[mount(one)] for one in written)
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert settings.listen.endswith(f":{ports['grpc']}")
    assert settings.admin is not None
    assert settings.admin.endswith(f":{ports['admin']}")


@pytest.mark.timeout(120)
def test_a_gateway_starts_with_it(
    rendered: list[Json], api: Api, namespace: str, definitions: dict[str, str], tmp_path: Path
) -> None:
    """The Deployment's command and settings, and its account's rights: ready, and stopped in order."""
    assert definitions
    path = laid_out(rendered, tmp_path)
    config = tmp_path / "kubeconfig"
    config.write_text(granted(api, BASE / "gateway/rbac.yaml", namespace, "ostiary-gateway"))
    api.put_ostiary(namespace, "TrafficRoute", "trafficroutes", "qwen", route(1, v1=10_000))
    api.put_ostiary(namespace, "ModerationPolicy", "moderationpolicies", "shop", POLICY)
    listen, admin = (f"127.0.0.1:{port}" for port in free_ports(2))
    (container,) = template(rendered, "ostiary-gateway")["spec"]["containers"]
    words = [word.replace("/etc/ostiary", str(path.parent)) for word in container["args"]]
    told = {
        "LISTEN": listen, "ADMIN": admin, "STORE": str(tmp_path / "ostiary.db"),
        "KUBERNETES__KUBECONFIG": str(config), "KUBERNETES__NAMESPACE": namespace,
    }  # fmt: skip
    environment = os.environ | {f"OSTIARY_GATEWAY_{name}": value for name, value in told.items()}
    log = tmp_path / "gateway.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ostiary.cli", *words], env=environment, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + 60
        while not _ready(admin):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
    finally:
        process.terminate()
        code = process.wait(30)
    assert code == 0, log.read_text()


def _ready(admin: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{admin}/readyz", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
