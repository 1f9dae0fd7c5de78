"""The keeper as it is deployed: a process of its own, with the rights of its manifest and no others."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cluster.api_client import Api
from cluster.rights import BASE, granted
from cluster.scripted_gateways import ScriptedGateways
from cluster.scripted_kubelet import ScriptedKubelet
from ostiary.cli.stack.files import free_ports
from ostiary_operator.kubectl.main import app
from ostiary_operator.sandbox.controllers.kubelet import EXIT, MESSAGE

Json = dict[str, Any]
_STEPS: Json = {"canary": {"steps": [{"setWeight": 1000}, {"pause": True}, {"setWeight": 5000}]}}


class Shop:
    """A namespace with the keeper's rights, what stands in for pods and gateways there, and people."""

    def __init__(self, api: Api, namespace: str, folder: Path) -> None:
        self.api = api
        self.namespace = namespace
        self.ostiary = f"/apis/ostiary.dev/v1alpha1/namespaces/{namespace}"
        self.deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self.log = folder / "keeper.log"
        self._config = folder / "kubeconfig"
        self._config.write_text(granted(api, BASE / "keeper/rbac.yaml", namespace, "ostiary-keeper"))
        self._stop = threading.Event()
        self._around = threading.Thread(target=self._look_after, daemon=True)
        self._around.start()

    def _look_after(self) -> None:
        api = self.api.acting_as(self.api.token)
        gateways = ScriptedGateways(api, self.namespace)
        kubelet = None if self.api.kubelets else ScriptedKubelet(api, self.namespace)
        while not self._stop.wait(0.1):
            gateways.renew()
            if kubelet:
                kubelet.look()
        api.close()

    def keeper(
        self, template: Path = BASE / "keeper/pod-template.yaml", admin: str = "127.0.0.1:0"
    ) -> subprocess.Popen[bytes]:
        """A keeper at work."""
        command = [
            "operator", "run", "--kubeconfig", str(self._config), "--namespace", self.namespace,
            "--pod-template", str(template), "--admin", admin,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "ostiary.cli", *command], stdout=log, stderr=log)

    def kubectl(self, *words: str, codes: Sequence[int] = (0,)) -> str:
        """What `kubectl ostiary` prints."""
        there = ["--kubeconfig", str(self.api.kubeconfig), "--namespace", self.namespace]
        done = CliRunner().invoke(app, [*words, *there])
        assert done.exit_code in codes, done.output
        return done.output

    def version(self, name: str) -> None:
        spec = {
            "model": "qwen", "version": name, "image": f"pod:{name}", "checksPerSecond": 10,
            "artifact": {"uri": "pvc://bundles", "digest": f"sha256:{'0' * 64}"},
        }  # fmt: skip
        self.put("ModelVersion", "modelversions", name, spec)

    def put(self, kind: str, plural: str, name: str, spec: Json) -> None:
        self.api.put_ostiary(self.namespace, kind, plural, name, spec)

    def deploy(self, version: str, strategy: Json = _STEPS) -> None:
        spec = {"model": "qwen", "versionRef": {"name": version}, "replicas": 1, "strategy": strategy}
        self.put("ModelDeployment", "modeldeployments", "qwen", spec)

    def until(self, holds: Callable[[Json], bool]) -> Json:
        """The ModelDeployment once its status is so."""
        path = f"{self.ostiary}/modeldeployments/qwen"
        try:
            return self.api.until(path, lambda answer: holds(answer.body.get("status") or {}))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-6000:]}") from error

    def weights(self) -> dict[str, int]:
        """Shares of the route."""
        route = self.api.get(f"{self.ostiary}/trafficroutes/qwen").body
        return {one["name"]: one["weight"] for one in route["spec"]["versions"] if one.get("weight")}

    def close(self) -> None:
        """Its pods go too: others want to have their GPUs."""
        self.api.delete(f"{self.ostiary}/modeldeployments/qwen")
        for kind in ("deployments", "replicasets") if self.api.controllers else ():
            self.api.until(
                f"/apis/apps/v1/namespaces/{self.namespace}/{kind}", lambda answer: not answer.body["items"]
            )
        self._stop.set()
        self._around.join(20)


@pytest.fixture
def shop(api: Api, namespace: str, definitions: dict[str, str], tmp_path: Path) -> Iterator[Shop]:
    """An empty one."""
    assert definitions
    running = Shop(api, namespace, tmp_path)
    yield running
    running.close()


def healthy(version: str) -> Callable[[Json], bool]:
    return lambda status: status.get("phase") == "Healthy" and status.get("stable") == version


def true(status: Json, condition: str) -> bool:
    said = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return said.get(condition) == "True"


@pytest.mark.timeout(240)
def test_a_version_is_rolled_and_rolled_back(shop: Shop) -> None:
    """Over a step that waits for somebody, past the death of a keeper, to all traffic; and back by order."""
    shop.version("v1")
    shop.version("v2")
    shop.deploy("v1")
    keeper = shop.keeper()
    try:
        status = shop.until(healthy("v1"))["status"]
        assert true(status, "Available")
        assert shop.weights() == {"v1": 10_000}
        shop.deploy("v2")
        shop.until(lambda status: status.get("phase") == "Paused")
        assert shop.weights() == {"v1": 9_000, "v2": 1_000}
        keeper.kill()
        keeper.wait()
        # It acts once the Lease of the dead one has run out: the command may have given up by then.
        keeper = shop.keeper()
        shop.kubectl("promote", "qwen", codes=(0, 4))
        shop.until(healthy("v2"))
        assert shop.weights() == {"v2": 10_000}
        assert "v2" in shop.kubectl("get", "qwen")
        shop.kubectl("rollback", "qwen", "--reason", "flags nothing")
        assert shop.weights() == {"v1": 10_000}
        assert shop.api.get(f"{shop.deployments}/v2").code == 200
    finally:
        keeper.terminate()
        code = keeper.wait(30)
    log = shop.log.read_text()
    assert code == 0, log[-3000:]
    assert "forbidden" not in log.lower()
    assert "Traceback" not in log


def answer(url: str) -> tuple[int, str]:
    """Status and body; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - http is meant
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.mark.timeout(120)
def test_what_the_manifest_asks_is_answered(shop: Shop) -> None:
    """Its flags start two keepers; its probes are answered, and which of the two acts is told apart; its port
    is that of its flag, and the one that Prometheus may come to.
    """
    documents = yaml.safe_load_all((BASE / "keeper/deployment.yaml").read_text("utf-8"))
    (container,) = next(documents)["spec"]["template"]["spec"]["containers"]
    (flag,) = (word for word in container["args"] if word.startswith("--admin="))
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert flag.endswith(f":{ports['admin']}")
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("liveness", "readiness")}
    assert {one["port"] for one in probes.values()} == {"admin"}
    shop.version("v1")
    shop.deploy("v1")
    admins = [f"127.0.0.1:{port}" for port in free_ports(2)]
    keepers = [shop.keeper(admin=admin) for admin in admins]
    try:
        shop.until(healthy("v1"))
        deadline = time.monotonic() + 30
        expected = ["ready: leading\n", "ready: waiting for the Lease\n"]
        ready = [f"http://{admin}{probes['readiness']['path']}" for admin in admins]
        while sorted(words for _, words in map(answer, ready)) != expected:
            assert time.monotonic() < deadline, [answer(url) for url in ready]
            time.sleep(0.2)
        for admin in admins:
            assert answer(f"http://{admin}{probes['liveness']['path']}") == (200, "live\n")
        told = [answer(f"http://{admin}/metrics")[1] for admin in admins]
        leads = re.findall(r"^keeper_leader\S* (\S+)$", "\n".join(told), re.MULTILINE)
        assert sorted(leads) == ["0.0", "1.0"]
        acting = next(one for one in told if re.search(r"^keeper_leader\S* 1.0$", one, re.MULTILINE))
        assert re.search(r'^keeper_rollouts\{.*phase="Healthy".*\} 1.0$', acting, re.MULTILINE)
        assert re.search(r'^keeper_actions_total\{action="WriteRoute".*\} 1.0$', acting, re.MULTILINE)
        assert 'kind="ModelDeployment"' in acting
        assert "qwen" not in acting
    finally:
        for keeper in keepers:
            keeper.terminate()
        codes = [keeper.wait(30) for keeper in keepers]
    assert codes == [0, 0], shop.log.read_text()[-3000:]


def ending(folder: Path, code: int, words: str) -> Path:
    """The shipped pod template, of pods that end so where they run to their end."""
    made = yaml.safe_load((BASE / "keeper/pod-template.yaml").read_text(encoding="utf-8"))
    report = json.dumps({"passed": code == 0, "words": words})
    made["metadata"]["annotations"] |= {EXIT: str(code), MESSAGE: report}
    path = folder / f"{code}.yaml"
    path.write_text(yaml.safe_dump(made), encoding="utf-8")
    return path


_GOLDEN = {"folder": "configmap://golden", "bounds": [{"figure": "category/top1", "atLeast": 0.7}]}


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("code", "phase", "verified"),
    [(0, "Healthy", "True"), (3, "Degraded", "False")],
    ids=["passed", "failed"],
)
def test_a_gate_runs_as_a_job(shop: Shop, tmp_path: Path, code: int, phase: str, verified: str) -> None:
    """With the keeper's own rights the Job is made, its pod's last words are read, and the rest follows."""
    if not shop.api.controllers:
        pytest.skip("KUBEBUILDER_ASSETS names no kube-controller-manager")
    shop.version("v1")
    shop.version("v2")
    shop.deploy("v1")
    keeper = shop.keeper(ending(tmp_path, code, "category/top1 of 800"))
    try:
        shop.until(healthy("v1"))
        steps = {"canary": {"steps": [{"setWeight": 1000}]}, "gates": {"goldenSet": _GOLDEN}}
        shop.deploy("v2", steps)
        shop.until(lambda status: status.get("phase") == phase and status.get("attempt") == 1)
        found = shop.api.get(f"{shop.ostiary}/modelversions/v2").body["status"]["conditions"]
        assert [(one["status"], one["message"]) for one in found if one["type"] == "Verified"] == [
            (verified, "goldenSet: category/top1 of 800")
        ]
        assert shop.weights() == ({"v2": 10_000} if code == 0 else {"v1": 10_000})
    finally:
        keeper.terminate()
        keeper.wait(30)
    assert "forbidden" not in shop.log.read_text().lower()
