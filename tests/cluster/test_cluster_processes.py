"""Pods whose containers are processes of this machine, and the command that serves a cluster."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from typer.testing import CliRunner

from ostiary_operator.sandbox.api.request import Deletion, Write
from ostiary_operator.sandbox.cli import app
from ostiary_operator.sandbox.clock import VirtualClock
from ostiary_operator.sandbox.cluster import Cluster, Settings
from ostiary_operator.sandbox.controllers.kubelet import Timings
from ostiary_operator.sandbox.controllers.scheduler import new_node

Json = dict[str, Any]
_WRITE = Write()

_SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["WORD"].encode())
print("serving", flush=True)
http.server.HTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


def pod(*command: str, **container: Any) -> Json:
    env = [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "hello"}}},
    ]
    main = {"name": "main", "image": "local/any:1", "command": list(command), "env": env, **container}
    spec = {"containers": [main], "terminationGracePeriodSeconds": 2}
    return {"metadata": {"name": "one", "labels": {"app": "one"}}, "spec": spec}


async def until(holds: Any, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.02)


async def test_a_pod_is_a_process_with_an_address(tmp_path: Path) -> None:
    """It is ready when its probe passes, answers on its own address, is logged, and ends with its pod."""
    settings = Settings(tmp_path, processes=True, nodes=(new_node("here"),), timings=Timings(pull=0.0))
    async with Cluster(settings) as cluster:

        async def create(plural: str, obj: Json) -> Json:
            return await cluster.operations.create(cluster.resource("", "v1", plural), "default", obj, _WRITE)

        probe = {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1}
        await create("configmaps", {"metadata": {"name": "words"}, "data": {"hello": "good day"}})
        await create("pods", pod("python", "-c", _SERVER, readinessProbe=probe))

        def status() -> Json:
            found = cluster.store.get("pods.", ("default", "one"))
            assert found is not None
            return found.data.get("status") or {}

        await until(
            lambda: any(
                one["type"] == "Ready" and one["status"] == "True" for one in status().get("conditions", [])
            )
        )
        address = status()["podIP"]
        assert address.startswith("127.")
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}:8080/") as answer:
            assert await answer.text() == "good day"
        assert (await cluster._read_log("default", "one", {})).startswith(b"serving")
        pods = cluster.resource("", "v1", "pods")
        await cluster.deletions.delete(pods, "default", "one", Deletion(), _WRITE.caller)
        await until(lambda: cluster.store.get("pods.", ("default", "one")) is None)
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(f"http://{address}:8080/"):
                pass


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        pytest.param(pod("/no/such/program"), "did not start", id="no program"),
        pytest.param(pod(), "names no command", id="no command"),
        pytest.param(pod("python"), 'configmap "words" not found', id="no ConfigMap"),
    ],
)
async def test_a_pod_that_cannot_start_says_why(tmp_path: Path, obj: Json, words: str) -> None:
    """An Event tells what is wrong, and the pod waits."""
    settings = Settings(tmp_path, processes=True, nodes=(new_node("here"),), timings=Timings(pull=0.0))
    async with Cluster(settings) as cluster:
        if "ConfigMap" not in words and "configmap" not in words:
            maps = cluster.resource("", "v1", "configmaps")
            text = {"metadata": {"name": "words"}, "data": {"hello": "x"}}
            await cluster.operations.create(maps, "default", text, _WRITE)
        await cluster.operations.create(cluster.resource("", "v1", "pods"), "default", obj, _WRITE)

        def told() -> bool:
            return any(words in one["message"] for one in cluster.store.objects("events.", "default"))

        await until(told)


def test_processes_need_real_time(tmp_path: Path) -> None:
    """They cannot be had on a virtual clock."""
    with pytest.raises(ValueError, match="virtual clock"):
        Cluster(Settings(tmp_path, processes=True, clock=VirtualClock()))


def sandbox(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from ostiary_operator.sandbox.cli import app; app()", *arguments]


def test_the_command_serves_until_it_is_told(tmp_path: Path) -> None:
    """`ostiary sandbox up` writes a kubeconfig that only its owner reads, serves, and ends by SIGINT."""
    command = sandbox("up", "--dir", str(tmp_path / "s"), "--nodes", "1")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "serves" in first
        path = tmp_path / "s" / "kubeconfig"
        assert path.stat().st_mode & 0o077 == 0
        config = yaml.safe_load(path.read_text())
        assert config["clusters"][0]["cluster"]["server"] == first.split()[0]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(20) == 0


@pytest.mark.parametrize("fault", ["nope=1", "conflict=2", "conflict", "conflict=often"])
def test_a_bad_fault_is_refused(tmp_path: Path, fault: str) -> None:
    """A fault that there is not, or a chance that there cannot be, is a usage error."""
    done = CliRunner().invoke(app, ["up", "--dir", str(tmp_path), "--fault", fault])
    assert done.exit_code == 2
    assert "fault" in done.stderr


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    """The command says which line is damaged and what to do, and leaves the file."""
    journal = tmp_path / "journal.jsonl"
    journal.write_text('[2,"configmaps."\n')
    done = CliRunner().invoke(app, ["up", "--dir", str(tmp_path)])
    assert done.exit_code == 1
    assert "journal.jsonl:1 is damaged" in done.stderr
    assert journal.read_text() == '[2,"configmaps."\n'
