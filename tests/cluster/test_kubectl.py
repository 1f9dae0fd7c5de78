"""kubectl itself, the oldest and the newest there are, against the sandbox."""

import json
import os
import platform
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.sandbox_thread import SandboxThread
from cluster.shapes import WIDGETS, deployment, widget

Json = dict[str, Any]

_UNPACKED = Path(__file__).resolve().parents[2] / ".venv" / "kubectl"


def binaries() -> list[Path]:
    """What OSTIARY_KUBECTL names, else what `make test` unpacked, else the one on the PATH."""
    if named := os.environ.get("OSTIARY_KUBECTL"):
        return [Path(one) for one in named.split(os.pathsep)]
    here = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    unpacked = sorted(_UNPACKED.glob("v*/kubectl")) if here else []
    if unpacked:
        return unpacked
    found = shutil.which("kubectl")
    return [Path(found)] if found else []


def _name(path: Path) -> str:
    return "-".join(path.parts[-2:])


def test_there_is_a_kubectl() -> None:
    """CI sees kubectl tests run; elsewhere they need a kubectl."""
    if not binaries():
        assert os.environ.get("CI") != "true", "`make test` unpacks kubectl into .venv/kubectl"
        pytest.skip("no kubectl: name one in OSTIARY_KUBECTL, or put one on the PATH")


class Kubectl:
    """One kubectl, one namespace."""

    def __init__(self, binary: Path, kubeconfig: Path, home: Path, namespace: str) -> None:
        self._command = [str(binary), "--kubeconfig", str(kubeconfig), "--namespace", namespace]
        self._environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false",
        }

    def run(self, *arguments: str, stdin: Any = None, fails: bool = False) -> str:
        """Output of a command; stdin is sent as YAML."""
        text = None if stdin is None else yaml.safe_dump(stdin)
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where kubectl keeps what it discovered."""
    return tmp_path_factory.mktemp("home")


def _with_namespace(binary: Path, sandbox: SandboxThread, home: Path, test: str) -> Iterator[Kubectl]:
    namespace = f"kubectl-{zlib.crc32(f'{binary} {test}'.encode())}"
    made = Kubectl(binary, sandbox.cluster.settings.folder / "kubeconfig", home, namespace)
    made.run(
        "create", "-f", "-", stdin={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    )
    yield made
    made.run("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(params=[pytest.param(path, id=_name(path)) for path in binaries()])
def kubectl(request: pytest.FixtureRequest, sandbox: SandboxThread, home: Path) -> Iterator[Kubectl]:
    """Each kubectl that there is, with a namespace of its own."""
    yield from _with_namespace(request.param, sandbox, home, request.node.name)


@pytest.fixture
def newest(request: pytest.FixtureRequest, sandbox: SandboxThread, home: Path) -> Iterator[Kubectl]:
    """The newest alone, for what is the same in all."""
    if not binaries():
        pytest.skip("no kubectl")
    yield from _with_namespace(binaries()[-1], sandbox, home, request.node.name)


def column(table: str, name: str) -> list[str]:
    """The cells of one column."""
    head, *rows = table.splitlines()
    start = head.index(name)
    return [row[start:].split()[0] for row in rows]


def test_a_deployment_from_beginning_to_end(kubectl: Kubectl) -> None:
    """Applied, waited for, described, changed, scaled, undone and deleted with its pods."""
    assert "deployment.apps/web created" in kubectl.run("apply", "-f", "-", stdin=deployment())
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    kubectl.run("wait", "--for=condition=Available", "deployment/web", "--timeout=20s")
    assert column(kubectl.run("get", "deployments"), "READY") == ["2/2"]
    assert column(kubectl.run("get", "pods"), "STATUS") == ["Running", "Running"]
    assert "node-0" in kubectl.run("get", "pods", "-o", "wide")
    assert "configured" in kubectl.run("apply", "-f", "-", stdin=deployment(image="registry.example/web:2"))
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    described = kubectl.run("describe", "deployment", "web")
    assert "registry.example/web:2" in described
    assert "ScalingReplicaSet" in described
    kubectl.run("scale", "deployment", "web", "--replicas=3")
    kubectl.run("rollout", "undo", "deployment/web")
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    pods = json.loads(kubectl.run("get", "pods", "-o", "json"))["items"]
    images = {
        one["spec"]["containers"][0]["image"] for one in pods if "deletionTimestamp" not in one["metadata"]
    }
    assert images == {"registry.example/web:1"}
    kubectl.run("delete", "deployment", "web")
    deadline = time.monotonic() + 20
    while kubectl.run("get", "pods,replicasets", "-o", "name"):
        assert time.monotonic() < deadline


def test_pods_that_are_left(newest: Kubectl) -> None:
    """Without cascading a Deployment goes and its ReplicaSet stays."""
    newest.run("apply", "-f", "-", stdin=deployment(replicas=1))
    newest.run("rollout", "status", "deployment/web", "--timeout=20s")
    newest.run("delete", "deployment", "web", "--cascade=orphan")
    (left,) = json.loads(newest.run("get", "replicasets", "-o", "json"))["items"]
    assert not left["metadata"].get("ownerReferences")
    newest.run("delete", "replicaset", left["metadata"]["name"])


def test_a_custom_resource(kubectl: Kubectl) -> None:
    """Its short name, columns, explanation, patches, scale and status work; refusals are told."""
    kubectl.run("apply", "-f", "-", stdin=WIDGETS)
    kubectl.run("wait", "--for=condition=Established", "crd/widgets.conformance.ostiary.dev", "--timeout=20s")
    kubectl.run("apply", "-f", "-", stdin=widget())
    table = kubectl.run("get", "wdg")
    assert table.splitlines()[0].split() == ["NAME", "SIZE", "READY", "AGE"]
    assert column(table, "SIZE") == ["3"]
    assert "COLOUR" in kubectl.run("get", "widgets", "-o", "wide")
    assert "size" in kubectl.run("explain", "widget.spec")
    kubectl.run("patch", "widget", "one", "--type=merge", "-p", '{"spec": {"size": 4}}')
    kubectl.run(
        "patch", "widget", "one", "--type=json", "-p", '[{"op": "test", "path": "/spec/size", "value": 4}]'
    )
    kubectl.run("scale", "widget", "one", "--replicas=3")
    assert kubectl.run("get", "widget", "one", "-o", "jsonpath={.spec.replicas}") == "3"
    told = kubectl.run("patch", "widget", "one", "--type=merge", "-p", '{"spec": {"size": 9}}', fails=True)
    assert "only blue ones may be big" in told
    assert 'unknown field "' in kubectl.run("create", "-f", "-", stdin=widget("two", dada=1), fails=True)
    kubectl.run("delete", "widget", "one")


def test_applying_on_the_server(kubectl: Kubectl) -> None:
    """Server-side apply works, conflicts, and takes over by force."""
    kubectl.run("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=deployment(replicas=1))
    other = deployment(replicas=2)
    told = kubectl.run("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=other, fails=True)
    assert ".spec.replicas" in told
    kubectl.run("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", stdin=other)
    assert kubectl.run("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "2"


def test_labels_annotations_and_a_faulty_object(newest: Kubectl) -> None:
    """Small changes work; a wrong object is told with its field."""
    newest.run("apply", "-f", "-", stdin=deployment(replicas=0))
    newest.run("label", "deployment", "web", "team=blue")
    newest.run("annotate", "deployment", "web", "why=because")
    assert newest.run("get", "deployments", "-l", "team=blue", "-o", "name").strip() == "deployment.apps/web"
    wrong = deployment("other")
    wrong["spec"]["selector"] = {"matchLabels": {"app": "none"}}
    assert "spec.template.metadata.labels" in newest.run("apply", "-f", "-", stdin=wrong, fails=True)
