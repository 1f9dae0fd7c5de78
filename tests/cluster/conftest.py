"""The servers that conformance tests run against: the sandbox, and a real control plane if there is one."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.api_client import Answer, Api
from cluster.control_plane import ControlPlane
from cluster.kubectl import Kubectl, binaries, name_of
from cluster.sandbox_thread import SandboxThread
from cluster.shapes import WIDGETS
from ostiary_operator.sandbox.api.request import Caller
from ostiary_operator.sandbox.cluster import Settings
from ostiary_operator.sandbox.controllers.kubelet import Timings
from ostiary_operator.sandbox.controllers.scheduler import new_node

CRDS = Path(__file__).parents[2] / "manifests/crds"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "")

_SERVERS = ["sandbox", "control-plane"] if ASSETS else ["sandbox"]


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxThread]:
    """A sandbox on the real clock with quick pods."""
    nodes = tuple(new_node(f"node-{index}", gpus=index) for index in range(3))
    settings = Settings(
        tmp_path_factory.mktemp("sandbox"),
        bookmark_every=0.5,
        nodes=nodes,
        timings=Timings(pull=0.05, load=0.05, stop=0.02),
    )
    running = SandboxThread(settings)
    yield running
    running.close()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real one."""
    running = ControlPlane(Path(ASSETS), tmp_path_factory.mktemp("control-plane"))
    yield running
    running.close()


@pytest.fixture(scope="session", params=_SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Api, dict[str, str]]]:
    """The administrator's access to one of the servers, and the tokens of two users who may do nothing."""
    if request.param == "sandbox":
        running: SandboxThread = request.getfixturevalue("sandbox")
        cluster = running.cluster
        api = Api(
            "127.0.0.1",
            cluster.settings.port,
            cluster.authority,
            cluster.admin_token,
            cluster.settings.folder / "kubeconfig",
        )
        users = {name: cluster.token(Caller(name, (), name)) for name in ("alice", "bob")}
    else:
        plane: ControlPlane = request.getfixturevalue("control_plane")
        api, users = plane.api(), plane.users
    yield api, users
    api.close()


@pytest.fixture
def api(server: tuple[Api, dict[str, str]]) -> Api:
    """The administrator's access."""
    return server[0]


@pytest.fixture
def users(server: tuple[Api, dict[str, str]]) -> dict[str, str]:
    """Tokens of users who may do nothing."""
    return server[1]


@pytest.fixture
def namespace(api: Api) -> str:
    """A namespace for this test alone."""
    made = api.made("/api/v1/namespaces", {"metadata": {"generateName": "conformance-"}})
    return str(made["metadata"]["name"])


@pytest.fixture
def maps(namespace: str) -> str:
    """Where this test's ConfigMaps are."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


@pytest.fixture
def deployments(namespace: str) -> str:
    """Where this test's Deployments are."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


@pytest.fixture(scope="session")
def widgets_defined(server: tuple[Api, dict[str, str]]) -> str:
    """A definition of widgets; the group."""
    api = server[0]
    made = api.post(_DEFINITIONS, WIDGETS)
    assert made.code in (201, 409), made.data
    name = WIDGETS["metadata"]["name"]
    api.until(f"{_DEFINITIONS}/{name}", _established)
    group = "conformance.ostiary.dev"
    for version in ("v1", "v1beta1"):
        api.until(f"/apis/{group}/{version}/widgets", lambda answer: answer.code == 200)
        api.until(f"/apis/{group}/{version}", lambda answer: _served(answer, "resources", "widgets"))
    api.until("/apis", lambda answer: _served(answer, "groups", group))
    api.until(f"/apis/{group}", lambda answer: len(answer.body.get("versions", ())) == 2)
    return group


def _served(answer: Answer, word: str, name: str) -> bool:
    """Whether a document of discovery has an entry: it follows a definition after a moment."""
    return answer.code == 200 and name in {one["name"] for one in answer.body[word]}


@pytest.fixture(scope="session")
def definitions(server: tuple[Api, dict[str, str]]) -> dict[str, str]:
    """The operator's kinds, all of them defined; the plural of each."""
    api, plurals = server[0], {}
    for file in sorted(CRDS.glob("*.yaml")):
        written = yaml.safe_load(file.read_text(encoding="utf-8"))
        api.made(_DEFINITIONS, written)
        plurals[written["spec"]["names"]["kind"]] = written["spec"]["names"]["plural"]
        api.until(f"{_DEFINITIONS}/{written['metadata']['name']}", _established)
    return plurals


def _established(answer: Answer) -> bool:
    said = {one["type"]: one["status"] for one in (answer.body.get("status") or {}).get("conditions") or ()}
    return said.get("Established") == said.get("NamesAccepted") == "True"


@pytest.fixture
def widgets(widgets_defined: str, namespace: str) -> str:
    """Where this test's widgets are."""
    return f"/apis/{widgets_defined}/v1/namespaces/{namespace}/widgets"


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


@pytest.fixture(params=[pytest.param(path, id=name_of(path)) for path in binaries()])
def kubectl(request: pytest.FixtureRequest, sandbox: SandboxThread, home: Path) -> Iterator[Kubectl]:
    """Each kubectl that there is, with a namespace of its own."""
    yield from _with_namespace(request.param, sandbox, home, request.node.name)


@pytest.fixture
def newest(request: pytest.FixtureRequest, sandbox: SandboxThread, home: Path) -> Iterator[Kubectl]:
    """The newest alone, for what is the same in all."""
    if not binaries():
        pytest.skip("no kubectl")
    yield from _with_namespace(binaries()[-1], sandbox, home, request.node.name)
