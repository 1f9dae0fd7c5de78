"""A sandbox cluster whose pods are processes, and gateways and a keeper that are processes too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench.keeper.stage import Stage, stage
from bench.promises.estate import GATEWAY_ID, REPOSITORY, SERVER_NAME, Estate
from ostiary_operator.cluster import kinds

Json = dict[str, Any]
MODEL = "qwen"
_PORT = 8543
_READY_SECONDS, _STOP_SECONDS = 240.0, 30.0


@dataclass
class Fleet:
    """Everything; callers go to `estate.listens`.

    Attributes:
        stage: the cluster, as people see it.
        estate: its gateways and everybody's certificates.
        prometheus: URL of what analyses ask; empty: nothing.
    """

    stage: Stage
    estate: Estate
    keeper: subprocess.Popen[bytes] | None = None
    prometheus: str = ""
    _template: Path = field(init=False)

    def pods(self, command: Sequence[str], settings: Mapping[str, Any], env: Mapping[str, str]) -> None:
        """Says what a version's pods are: a command that is told of a file with these settings, and an
        environment, in which `$(POD_IP)` is a pod's address.
        """
        path = self.estate.folder / "pod.yaml"
        path.write_text(yaml.safe_dump({"tls": self.estate.tls("pod-0"), **settings}), encoding="utf-8")
        address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        container = {
            "name": "pod",
            "image": "set-by-the-keeper",
            "command": [*command, str(path)],
            "workingDir": str(REPOSITORY),
            "env": [address, *({"name": name, "value": value} for name, value in env.items())],
            "ports": [{"name": "grpc", "containerPort": _PORT}],
            "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
        }
        spec = {"terminationGracePeriodSeconds": 30, "containers": [container]}
        self._template = self.estate.folder / "pod-template.yaml"
        self._template.write_text(yaml.safe_dump({"spec": spec}), encoding="utf-8")

    def scripted_pods(self, seconds: float) -> None:
        """Pods that take so long for a look, and name their version's digest."""
        mode = self.estate.folder / "mode"
        mode.write_text("good", encoding="utf-8")
        settings = {
            "listen": f"$POD_IP:{_PORT}", "admin": None, "client": GATEWAY_ID, "mode": str(mode),
            "seconds": seconds, "drain_seconds": 10.0, "otlp_endpoint": None,
            "digest": "$OSTIARY_BUNDLE_DIGEST",
        }  # fmt: skip
        self.pods(["python", "-m", "bench.promises.scripted_pod"], settings, {})

    def start_keeper(self) -> None:
        """A keeper at work, with the rights of the administrator."""
        config = self.stage.cluster.settings.folder / "kubeconfig"
        command = [
            sys.executable, "-m", "ostiary.cli", "operator", "run", "--kubeconfig", str(config),
            "--namespace", "default", "--pod-template", str(self._template), "--prometheus", self.prometheus,
        ]  # fmt: skip
        with (self.estate.folder / "keeper.log").open("ab") as log:
            self.keeper = subprocess.Popen(command, stdout=log, stderr=log, cwd=REPOSITORY)

    async def start(self, version: str) -> None:
        """Starts keeper and gateways; returns when this version serves and all are ready."""
        self.start_keeper()
        await self.stage.until(lambda: self.stage.find(kinds.TRAFFIC_ROUTES, MODEL), _READY_SECONDS)
        for gateway in self.estate.gateways:
            gateway.start()
        for gateway in self.estate.gateways:
            await gateway.ready()
        await self.serves(version)

    async def serves(self, version: str) -> None:
        """Returns once a version has all traffic, and the rollout is done."""

        def settled() -> bool:
            status = self.stage.status()
            done = status.get("phase") == "Healthy" and status.get("stable") == version
            return done and self.stage.weights() == {version: 10_000}

        await self.stage.until(settled, _READY_SECONDS)

    def stop(self) -> None:
        """Stops all but the cluster."""
        for gateway in self.estate.gateways:
            gateway.stop()
        if self.keeper is not None:
            self.keeper.terminate()
            self.keeper.wait(_STOP_SECONDS)


@asynccontextmanager
async def fleet(folder: Path, replicas: int) -> AsyncIterator[Fleet]:
    """One with so many gateways; nothing but the cluster is started yet. All is stopped afterwards."""
    async with stage(folder / "cluster", processes=True) as running:
        named = {
            "route": MODEL, "server_name": SERVER_NAME, "namespace": "default",
            "kubeconfig": str(running.cluster.settings.folder / "kubeconfig"),
        }  # fmt: skip
        settings = {"route": None, "kubernetes": named}
        made = Fleet(running, Estate(folder, replicas=replicas, settings=settings))
        try:
            yield made
        finally:
            made.stop()
