"""`kubectl ostiary` against an API server, with somebody who carries the keeper's decisions out."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from cluster.api_client import Api
from cluster.sandbox_thread import SandboxThread
from cluster.scripted_keeper import ScriptedKeeper
from cluster.test_kubectl import binaries
from ostiary_operator.kubectl import access
from ostiary_operator.kubectl.main import app
from ostiary_operator.sandbox.cluster import Settings
from ostiary_operator.sandbox.controllers.kubelet import Timings
from ostiary_operator.sandbox.controllers.scheduler import new_node

Json = dict[str, Any]
_CRDS = sorted((Path(__file__).parents[2] / "manifests/crds").glob("*.yaml"))
_OSTIARY = "/apis/ostiary.dev/v1alpha1/namespaces/shop"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Path]]:
    """A cluster with the definitions and a namespace, and its kubeconfig."""
    folder = tmp_path_factory.mktemp("shop")
    nodes = tuple(new_node(f"node-{index}") for index in range(2))
    running = SandboxThread(Settings(folder, nodes=nodes, timings=Timings(pull=0.02, load=0.02, stop=0.02)))
    cluster = running.cluster
    api = Api("127.0.0.1", cluster.settings.port, cluster.authority, cluster.admin_token)
    for file in _CRDS:
        api.made(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yaml.safe_load(file.read_text("utf-8"))
        )
    api.made("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    api.until(f"{_OSTIARY}/modeldeployments", lambda answer: answer.code == 200)
    api.until(f"{_OSTIARY}/modeloverrides", lambda answer: answer.code == 200)
    yield api, folder / "kubeconfig"
    api.close()
    running.close()


class Shop:
    """One model, `qwen`, of a namespace that begins empty."""

    def __init__(self, api: Api, kubeconfig: Path) -> None:
        self.api = api
        self.access = ["--kubeconfig", str(kubeconfig), "--namespace", "shop"]
        self.keeper = ScriptedKeeper(Api(api.host, api.port, api.authority, api.token), "shop")

    def run(self, *words: str, code: int = 0) -> str:
        """What a command prints."""
        done = CliRunner().invoke(app, [*words, *self.access])
        assert done.exit_code == code, done.output
        return done.output

    def shows(self, words: str, *command: str, seconds: float = 20) -> str:
        """What a command prints once it prints these words."""
        end = time.monotonic() + seconds
        while words not in (printed := self.run(*command)):
            assert time.monotonic() < end, printed
            time.sleep(0.05)
        return printed

    def version(self, name: str) -> None:
        spec = {
            "model": "qwen", "version": name[-1], "image": f"pod:{name[-1]}", "checksPerSecond": 10,
            "artifact": {"uri": f"s3://bundles/{name}", "digest": f"sha256:{'0' * 64}"},
        }  # fmt: skip
        self._make("ModelVersion", "modelversions", name, spec)

    def deploy(self, version: str, **spec: Any) -> None:
        """Makes the ModelDeployment, or names another version in it."""
        if self.api.get(f"{_OSTIARY}/modeldeployments/qwen").code == 404:
            whole = {"model": "qwen", "versionRef": {"name": version}, "replicas": 2, **spec}
            self._make("ModelDeployment", "modeldeployments", "qwen", whole)
        else:
            answer = self.api.patch(
                f"{_OSTIARY}/modeldeployments/qwen", {"spec": {"versionRef": {"name": version}}}
            )
            assert answer.code == 200, answer.data

    def until(self, holds: Callable[[Json], bool]) -> Json:
        """The rollout's status once something holds."""
        path = f"{_OSTIARY}/modeldeployments/qwen"
        found = self.api.until(path, lambda answer: holds(answer.body.get("status") or {}))
        status: Json = found["status"]
        return status

    def _make(self, kind: str, plural: str, name: str, spec: Json) -> None:
        body = {"apiVersion": "ostiary.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.api.made(f"{_OSTIARY}/{plural}", body)

    def close(self) -> None:
        self.keeper.close()
        for plural in ("modeldeployments", "modelversions", "modeloverrides", "trafficroutes"):
            self.api.delete(f"{_OSTIARY}/{plural}")
        self.api.delete("/apis/apps/v1/namespaces/shop/deployments")


STEPS = {"canary": {"steps": [{"setWeight": 1000}, {"pause": True}, {"setWeight": 5000}, {"pause": True}]}}


@pytest.fixture
def qwen(shop: tuple[Api, Path]) -> Iterator[Shop]:
    """qwen-1 serves; qwen-2 is there to be rolled, in steps that wait for people."""
    running = Shop(*shop)
    running.version("qwen-1")
    running.version("qwen-2")
    running.deploy("qwen-1", strategy=STEPS)
    running.until(lambda status: status.get("phase") == "Healthy")
    yield running
    running.close()


def waiting(status: Json) -> bool:
    return bool(status.get("phase") == "Paused" and status.get("candidate") == "qwen-2")


def test_a_rollout_is_rolled_by_hand(qwen: Shop) -> None:
    """From a tree that shows it waiting, over two promotions, to all traffic, and its history."""
    qwen.deploy("qwen-2")
    qwen.until(waiting)
    tree = qwen.shows("gateways: 2 of 2 have applied epoch 2", "get", "qwen")
    first, *branches = tree.splitlines()
    assert first.startswith("qwen  Paused  step 2/4  PauseStep: until somebody promotes")
    assert any("qwen-2  candidate  10%  1/1 pods ready" in line for line in branches)
    assert any("qwen-1  stable  90%  2/2 pods ready" in line for line in branches)
    assert sum("pod qwen-1-" in line and "Ready" in line for line in branches) == 2
    assert "rollback: to qwen-1 in 2s" in tree
    event = {
        "metadata": {"generateName": "qwen-"}, "type": "Normal", "reason": "StepReached", "message": "10%",
        "involvedObject": {"kind": "ModelDeployment", "name": "qwen", "namespace": "shop"},
    }  # fmt: skip
    for _ in range(2):
        qwen.api.made("/api/v1/namespaces/shop/events", event)
    described = qwen.run("describe", "qwen")
    assert "→ 2. wait until somebody promotes" in described
    assert "Normal   StepReached: 10%" in described
    explained = qwen.run("explain", "qwen")
    assert "qwen-2 has 10% and is at step 2 for " in explained
    assert "What to do: to go on: kubectl ostiary promote qwen" in explained
    qwen.run("promote", "qwen")
    qwen.until(lambda status: waiting(status) and status["step"] == 3)
    told = json.loads(qwen.run("promote", "qwen", "--json"))
    assert told["answered"] is True
    status = qwen.until(lambda status: status.get("stable") == "qwen-2" and status["phase"] == "Healthy")
    assert status["history"][-1]["why"] == "promoted"
    history = qwen.run("history", "qwen")
    assert "qwen-1 got all traffic: the first version" in history
    assert "qwen-2 got all traffic: promoted" in history
    assert [one["version"] for one in json.loads(qwen.run("history", "qwen", "--json"))] == [
        "qwen-1",
        "qwen-2",
    ]


def test_nobody_is_promoted_past_a_gate_by_mistake(qwen: Shop) -> None:
    """It is said which gate, and what to do; who insists gets on."""
    strategy = {"spec": {"strategy": {**STEPS, "gates": {"capacity": {"pods": 1, "headroom": 10}}}}}
    assert qwen.api.patch(f"{_OSTIARY}/modeldeployments/qwen", strategy).code == 200
    qwen.deploy("qwen-2")
    qwen.until(lambda status: status.get("gate") == "capacity")
    refused = qwen.run("promote", "qwen", code=1)
    assert "qwen-2 has not passed gate capacity: " in refused
    assert "promote --force" in refused
    qwen.run("promote", "qwen", "--force")
    assert qwen.until(lambda status: status.get("candidateWeight") == 1000)["waived"] == ["capacity"]


def test_a_rollback_takes_all_traffic_back(qwen: Shop) -> None:
    """By an order of its own, which says who and why, and ends; the version that was left stays rejected."""
    qwen.deploy("qwen-2")
    qwen.until(waiting)
    qwen.run("promote", "qwen", "--full")
    qwen.until(lambda status: status.get("stable") == "qwen-2" and status["phase"] == "Healthy")
    told = qwen.run("rollback", "qwen", "--reason", "flags nothing", "--hours", "2", "--wait", "20")
    assert "all traffic of qwen goes to qwen-1; the order ends in 2 h" in told
    assert "qwen-1 has all traffic, and every gateway has said so" in told
    (order,) = qwen.api.get(f"{_OSTIARY}/modeloverrides").body["items"]
    assert order["spec"] | {"expiresAt": ""} == {
        "target": "qwen", "order": "Rollback", "toVersion": "qwen-1", "reason": "flags nothing",
        "actor": "sandbox-admin", "expiresAt": "",
    }  # fmt: skip
    found = json.loads(qwen.run("get", "qwen", "--json"))
    assert found["weights"] == {"qwen-1": 10_000}
    assert found["override"]["reason"] == "flags nothing"
    assert found["phase"] == "Overridden"
    assert {one["name"]: one["role"] for one in found["versions"]} == {
        "qwen-1": "stable",
        "qwen-2": "rejected",
    }
    assert f"kubectl delete modeloverride {order['metadata']['name']}" in qwen.run("explain", "qwen")
    assert "Rollback to qwen-1 ordered by sandbox-admin: flags nothing" in qwen.run("history", "qwen")


def test_a_rollback_that_takes_longer_stands(qwen: Shop) -> None:
    """Without a keeper that carries it out the command says so, and leaves the order."""
    qwen.deploy("qwen-2")
    qwen.until(waiting)
    qwen.keeper.idle = True
    time.sleep(0.3)
    told = qwen.run("rollback", "qwen", "--reason", "slow", "--actor", "ann", "--wait", "1", "--json", code=4)
    said = json.loads(told.splitlines()[0])
    assert (said["to"], said["arrived"]) == ("qwen-1", False)
    assert said["rollout"]["override"]["actor"] == "ann"


def test_an_abort_and_another_try(qwen: Shop) -> None:
    """What was taken back stays so until somebody retries."""
    qwen.deploy("qwen-2")
    qwen.until(waiting)
    qwen.run("abort", "qwen")
    qwen.until(lambda status: status.get("phase") == "Degraded")
    assert "try this one again: kubectl ostiary retry qwen" in qwen.run("explain", "qwen")
    qwen.run("retry", "qwen")
    qwen.until(waiting)


def test_an_abort_comes_before_the_candidate(qwen: Shop) -> None:
    """The keeper has not looked since the spec named it: it never begins."""
    qwen.keeper.idle = True
    time.sleep(0.3)
    qwen.deploy("qwen-2")
    assert "has not answered" in qwen.run("abort", "qwen", "--wait", "0.1", code=4)
    qwen.keeper.idle = False
    status = qwen.until(lambda status: status.get("answered"))
    assert (status["rejected"], status["phase"], status.get("candidate")) == ("qwen-2", "Degraded", None)
    assert qwen.api.get("/apis/apps/v1/namespaces/shop/deployments/qwen-2").code == 404


def test_what_the_keeper_refuses_is_told(qwen: Shop) -> None:
    """Asked of one version, and by the time that it looks another is on its way."""
    qwen.version("qwen-3")
    qwen.deploy("qwen-2")
    qwen.until(waiting)
    qwen.keeper.idle = True
    time.sleep(0.3)
    qwen.deploy("qwen-3")
    qwen.run("promote", "qwen", "--wait", "0.1", code=4)
    assert "was asked before, and the keeper has not acted on it" in qwen.run(
        "promote", "qwen", "--full", code=1
    )
    again = subprocess.Popen(
        [sys.executable, "-m", "ostiary_operator.kubectl.main", "promote", "qwen", *qwen.access],
        stderr=subprocess.PIPE,
        text=True,
    )
    asking = psutil.Process(again.pid)
    while not asking.net_connections():
        time.sleep(0.05)
    time.sleep(1.0)  # it waits for the answer to what was asked before
    qwen.keeper.idle = False
    _, told = again.communicate(timeout=30)
    assert again.returncode == 1
    assert "promote of qwen-2" in told
    assert "is refused: qwen-2 is not on its way: qwen-3 is" in told
    assert "What was asked last: promote of qwen-2" in qwen.run("explain", "qwen")


def test_an_abort_takes_the_place_of_what_was_asked_before_it(qwen: Shop) -> None:
    """Nothing else does: what somebody else has asked is not lost."""
    qwen.deploy("qwen-2")
    qwen.until(waiting)
    qwen.keeper.idle = True
    time.sleep(0.3)
    qwen.run("promote", "qwen", "--wait", "0.1", code=4)
    qwen.run("abort", "qwen", "--wait", "0.1", code=4)
    assert "abort (abort-" in qwen.run("promote", "qwen", code=1)
    qwen.keeper.idle = False
    assert qwen.until(lambda status: status.get("phase") == "Degraded")["rejected"] == "qwen-2"


def test_a_pause_holds_the_next_rollout(qwen: Shop) -> None:
    """spec.paused, until somebody resumes; saying it twice changes nothing."""
    assert qwen.run("pause", "qwen") == "qwen paused\n"
    assert qwen.run("pause", "qwen") == "qwen was paused already\n"
    qwen.deploy("qwen-2")
    qwen.until(waiting)
    assert "to go on: kubectl ostiary resume qwen" in qwen.run("explain", "qwen")
    assert qwen.run("resume", "qwen") == "qwen resumed\n"
    qwen.until(lambda status: waiting(status) and status["step"] == 1)
    assert qwen.run("resume", "qwen") == "qwen was not paused already\n"


def test_a_watch_shows_what_changes(qwen: Shop) -> None:
    """A tree for each state, for as long as it is asked for."""
    qwen.deploy("qwen-2")
    told = qwen.run("get", "--watch", "--for", "3")
    assert told.count("gateways: ") >= 2
    assert "PauseStep" in told


def test_a_simulation_says_steps_times_and_gpus(qwen: Shop, tmp_path: Path) -> None:
    """By the keeper's own decisions, before the spec names the version; with what quotas leave room for."""
    told = qwen.run("simulate", "qwen", "--to", "qwen-2", "--load-seconds", "60", "--demand", "15")
    assert "qwen-2: how long it loads was never measured; 1m is assumed" in told
    assert "step 1: give it 10% of the traffic" in told
    assert "step 2 waits for somebody to promote" in told
    assert "GPUs: 2 now, at most 4, 4 afterwards" in told
    quota = {
        "metadata": {"name": "gpus"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "3"}},
    }
    qwen.api.made("/api/v1/namespaces/shop/resourcequotas", quota)
    try:
        found = json.loads(qwen.run("simulate", "qwen", "--to", "qwen-2", "--json", code=3))
    finally:
        qwen.api.delete("/api/v1/namespaces/shop/resourcequotas/gpus")
    assert found["arrived"] is True
    assert found["gpus"] == {"now": 2, "peak": 4, "after": 4}
    assert [(one["name"], one["hard"], one["fits"]) for one in found["quotas"]] == [("gpus", 3, False)]
    assert found["moments"][-1]["weights"] == {"qwen-2": 10_000}
    path = tmp_path / "md.yaml"
    spec = {"model": "qwen", "versionRef": {"name": "qwen-2"}, "replicas": 3, "strategy": STEPS}
    written = {"apiVersion": "ostiary.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "qwen"}}
    path.write_text(yaml.safe_dump({**written, "spec": spec}), encoding="utf-8")
    assert "at most 6, 6 afterwards" in qwen.run("simulate", "qwen", "--file", str(path))
    path.write_text(yaml.safe_dump({**written, "spec": spec | {"replicas": 0}}), encoding="utf-8")
    assert "md.yaml:7: error: spec.replicas" in qwen.run("simulate", "qwen", "-f", str(path), code=1)
    assert qwen.api.get(f"{_OSTIARY}/modeldeployments/qwen").body["spec"]["versionRef"] == {"name": "qwen-1"}


REFUSED: dict[str, tuple[list[str], int, str]] = {
    "a name nearly right": (["get", "qwne"], 1, "did you mean qwen?"),
    "nothing to promote": (["promote", "qwen"], 1, "no version is on its way (qwen-1 serves)"),
    "nothing to abort": (["abort", "qwen"], 1, "nothing to abort"),
    "nothing to retry": (["retry", "qwen"], 1, "nothing to try again"),
    "no way back": (["rollback", "qwen", "--reason", "r"], 1, "name one with --to: qwen-2"),
    "no such version": (
        ["rollback", "qwen", "--reason", "r", "--to", "qwen-9"], 1, "there are qwen-1, qwen-2",
    ),
    "no reason": (["rollback", "qwen"], 2, "--reason"),
    "an empty reason": (["rollback", "qwen", "--reason", ""], 2, "1 to 500 characters"),
    "a version to simulate": (["simulate", "qwen", "--to", "qwen-9"], 1, "there is no ModelVersion qwen-9"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_said(qwen: Shop, words: list[str], code: int, said: str) -> None:
    """With what there is, or what to do."""
    assert said in qwen.run(*words, code=code)


def test_a_keeper_that_does_not_answer_is_told(qwen: Shop) -> None:
    """The request is there for when it does."""
    qwen.deploy("qwen-2")
    qwen.until(waiting)
    qwen.keeper.idle = True
    time.sleep(0.3)
    assert "has not answered within 1 s: is it running?" in qwen.run("promote", "qwen", "--wait", "1", code=4)
    qwen.keeper.idle = False
    qwen.until(lambda status: status.get("step") == 3)


ACCESS: dict[str, tuple[list[str], str]] = {
    "no file": (["--kubeconfig", "/nowhere/config"], "give --kubeconfig, or set KUBECONFIG"),
    "no such context": (["--context", "prod"], "kubectl config get-contexts"),
    "an empty namespace": (["--namespace", "default"], "are --namespace and --context right?"),
}


@pytest.mark.parametrize(("words", "said"), ACCESS.values(), ids=ACCESS)
def test_a_cluster_that_is_not_there_is_told(shop: tuple[Api, Path], words: list[str], said: str) -> None:
    """And where to look."""
    done = CliRunner().invoke(app, ["get", "qwen", "--kubeconfig", str(shop[1]), *words])
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())


def test_a_server_that_is_away_is_told(shop: tuple[Api, Path], tmp_path: Path) -> None:
    """By its address."""
    config = yaml.safe_load(shop[1].read_text("utf-8"))
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    done = CliRunner().invoke(app, ["get", "--kubeconfig", str(path)])
    assert done.exit_code == 1
    assert "the API server at https://127.0.0.1:1 does not answer" in done.output


def test_a_clock_that_is_wrong_changes_nothing(qwen: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a gateway is there is told by the cluster's clock, not by that of whoever asks."""

    class Fast:
        """Five minutes ahead."""

        @staticmethod
        def time() -> float:
            return time.time() + 300.0

    monkeypatch.setattr(access, "time", Fast)
    found = json.loads(qwen.run("get", "qwen", "--json"))
    assert [one["live"] for one in found["gateways"]] == [True, True]


def test_files_are_checked_beside_the_cluster(qwen: Shop, tmp_path: Path) -> None:
    """What a file names has to be in it or there."""
    path = tmp_path / "md.yaml"
    spec = {"model": "qwen", "versionRef": {"name": "qwen-2"}, "strategy": STEPS}
    written = {"apiVersion": "ostiary.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "qwen"}}
    path.write_text(yaml.safe_dump({**written, "spec": spec}), encoding="utf-8")
    assert "ModelVersion" not in qwen.run("lint", str(path), "--cluster")
    path.write_text(
        yaml.safe_dump({**written, "spec": spec | {"versionRef": {"name": "qwen-9"}}}), encoding="utf-8"
    )
    assert "ModelVersion qwen-9 is neither in these files nor in the cluster" in qwen.run(
        "lint", str(path), "--cluster", code=1
    )


@pytest.mark.parametrize("binary", binaries(), ids=lambda path: "-".join(path.parts[-2:]))
def test_kubectl_finds_it(qwen: Shop, shop: tuple[Api, Path], tmp_path: Path, binary: Path) -> None:
    """As a plug-in: a program called kubectl-ostiary on the PATH."""
    plugin = tmp_path / "kubectl-ostiary"
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} -m ostiary_operator.kubectl.main "$@"\n', "utf-8")
    plugin.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KUBECONFIG": str(shop[1])}
    done = subprocess.run(
        [str(binary), "ostiary", "get", "qwen", "-n", "shop"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout.startswith("qwen  Healthy")


def test_help_has_examples() -> None:
    """One for each command."""
    for command in ("get", "describe", "explain", "history", "promote", "abort", "retry", "pause", "resume",
                    "rollback", "lint", "simulate"):  # fmt: skip
        told = CliRunner().invoke(app, [command, "--help"]).output
        assert f"Example: kubectl ostiary {command} " in " ".join(told.split())
