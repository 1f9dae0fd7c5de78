"""Gateways and their stub pods, each a process of its own, with certificates that can be rotated."""

import asyncio
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import yaml
from cryptography import x509

from bench import forge
from bench.promises.mounts import CertManager, Mount, Spire
from ostiary.cli.stack.files import free_ports
from ostiary.client.aio import AsyncClient
from ostiary.client.retry import RetryPolicy
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialSource
from ostiary_gateway.init import init_gateway

DOMAIN = "prove.ostiary.local"
ORIGIN = f"{DOMAIN}/log"
GATEWAY_ID = f"spiffe://{DOMAIN}/role/gateway"
POD_ID = f"spiffe://{DOMAIN}/role/pod"
CALLER_ID = f"spiffe://{DOMAIN}/tenant/t/role/pipeline"
SERVER_NAME = "localhost"
REPOSITORY = Path(__file__).resolve().parents[2]
_GATEWAY = "from ostiary.cli.main import main; main()"
_START_SECONDS = 240.0
_STOP_SECONDS = 40.0


@dataclass
class Service:
    """One process and where its probes are."""

    name: str
    command: Sequence[str]
    admin: str
    log: Path | None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; it is not ready yet."""
        with (self.log or Path("/dev/null")).open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=REPOSITORY)

    @property
    def pid(self) -> int:
        """Its process."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self.process.pid

    async def ready(self) -> None:
        """Returns once it says that it is ready.

        Raises:
            RuntimeError: it ended before, or took too long.
        """
        async with asyncio.timeout(_START_SECONDS):
            while not await asyncio.to_thread(self._asks):
                if self.process is None or self.process.poll() is not None:
                    said = self.log.read_text(encoding="utf-8")[-2000:] if self.log else ""
                    raise RuntimeError(f"{self.name} has ended: {said}")
                await asyncio.sleep(0.05)

    def metrics(self) -> str:
        """What Prometheus would see."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as response:
            text: str = response.read().decode()
            return text

    def _asks(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9


@dataclass
class Estate:
    """Everything. `start`, then call through `client()`.

    Attributes:
        folder: where all of it lies.
        pods: how many there are.
        seconds: what a pod takes for a look.
        collector: URL of an OTLP collector; None for none.
        settings: what else gateway.yaml shall say.
        replicas: how many gateways there are, over one store.
    """

    folder: Path
    pods: int = 2
    seconds: float = 0.005
    collector: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    replicas: int = 1

    def __post_init__(self) -> None:
        self.root = forge.authority(trust_domain=DOMAIN)
        self.mounts: dict[str, Mount] = {
            "gateway": CertManager(self.folder / "tls/gateway"),
            "caller": CertManager(self.folder / "tls/caller"),
        }
        for number in range(self.pods):
            self.mounts[f"pod-{number}"] = Spire(self.folder / f"tls/pod-{number}")
        for name in self.mounts:
            self.issue(name, self.root, self.root.certificate)
        ports = iter([f"127.0.0.1:{port}" for port in free_ports(2 * self.replicas + 2 * self.pods)])
        self.listens = list(islice(ports, self.replicas))
        gateway_admins = list(islice(ports, self.replicas))
        self.addresses, self._admins = list(islice(ports, self.pods)), list(ports)
        self.home = self.folder / "gateway"
        init_gateway(self.home, trust_domain=DOMAIN, origin=ORIGIN)
        self.route()
        self.gateways = [self._gateway(number, admin) for number, admin in enumerate(gateway_admins)]
        self.services = {f"pod-{number}": self._pod(number) for number in range(self.pods)}

    @property
    def gateway(self) -> Service:
        """The first gateway, or the only one."""
        return self.gateways[0]

    @property
    def listen(self) -> str:
        """Where that one listens."""
        return self.listens[0]

    def issue(self, name: str, issuer: forge.Holder, *roots: x509.Certificate) -> forge.Holder:
        """A new certificate for somebody, who then trusts `roots`."""
        ids = {"gateway": GATEWAY_ID, "caller": CALLER_ID}
        holder = forge.leaf(issuer, ids.get(name, POD_ID), dns=[] if name == "caller" else [SERVER_NAME])
        self.mounts[name].put(holder, *roots)
        return holder

    def mode(self, word: str) -> None:
        """What all pods do from now on."""
        for number in range(self.pods):
            self._say(number, word)

    def write(self, name: str, text: str) -> None:
        """Replaces one of the gateway's files."""
        staged = self.home / f"{name}.new"
        staged.write_text(text, encoding="utf-8")
        staged.replace(self.home / name)

    def route(self, epoch: int = 1) -> None:
        """Writes route.yaml: all pods, in one version."""
        endpoints = [{"address": address, "serverName": SERVER_NAME} for address in self.addresses]
        versions = [{"name": "v1", "weight": 10_000, "endpoints": endpoints}]
        self.write("route.yaml", yaml.safe_dump({"name": "main", "epoch": epoch, "versions": versions}))

    async def start(self) -> None:
        """Starts all processes and waits until they are ready."""
        for service in (*self.services.values(), *self.gateways):
            service.start()
        for service in (*self.services.values(), *self.gateways):
            await service.ready()

    def stop(self) -> None:
        """Stops all processes."""
        for service in (*self.gateways, *self.services.values()):
            service.stop()

    def tls(self, name: str) -> dict[str, str]:
        """Somebody's files, as settings name them."""
        files = self.mounts[name].files
        return {"ca": str(files.ca), "cert": str(files.cert), "key": str(files.key)}

    @asynccontextmanager
    async def channels(self) -> AsyncIterator[list[grpc.aio.Channel]]:
        """The caller's, one to each gateway."""
        source = CredentialSource(self.mounts["caller"].files)
        async with AsyncExitStack() as stack:
            opened = (open_channel(one, source, server_name=SERVER_NAME) for one in self.listens)
            yield [await stack.enter_async_context(one) for one in opened]

    def client(self, attempts: int = 1) -> AsyncClient:
        """The SDK; by default without its retries, which would hide what the gateway does."""
        files = self.mounts["caller"].files
        return AsyncClient(
            self.listen,
            ca=files.ca,
            cert=files.cert,
            key=files.key,
            server_name=SERVER_NAME,
            retry=RetryPolicy(attempts=attempts),
        )

    def _gateway(self, number: int, admin: str) -> Service:
        settings = {
            "listen": self.listens[number],
            "health": None,
            "admin": admin,
            "tls": self.tls("gateway"),
            "roles": "roles.yaml",
            "route": "route.yaml",
            "policy": "policy.yaml",
            "store": "ostiary.db",
            "log": {"origin": ORIGIN, "key": "log.key", "dir": "log"},
            "evidence": {"dir": "evidence", "key": "evidence.key"},
            "otlp_endpoint": self.collector,
            **self.settings,
        }
        if cluster := self.settings.get("kubernetes"):
            settings["kubernetes"] = {**cluster, "name": f"gateway-{number}"}
        path = self.home / f"gateway-{number}.yaml"
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = [sys.executable, "-c", _GATEWAY, "gateway", "serve", "--config", str(path)]
        return Service(f"gateway-{number}", command, admin, self.folder / f"gateway-{number}.log")

    def _pod(self, number: int) -> Service:
        name = f"pod-{number}"
        self._say(number, "good")
        settings = {
            "listen": self.addresses[number],
            "admin": self._admins[number],
            "tls": self.tls(name),
            "client": GATEWAY_ID,
            "mode": str(self.folder / f"{name}.mode"),
            "seconds": self.seconds,
            "drain_seconds": 5.0,
            "otlp_endpoint": self.collector,
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = [sys.executable, "-m", "bench.promises.scripted_pod", str(path)]
        return Service(name, command, self._admins[number], self.folder / f"{name}.log")

    def _say(self, number: int, word: str) -> None:
        path = self.folder / f"pod-{number}.mode"
        staged = path.with_suffix(".new")
        staged.write_text(word, encoding="utf-8")
        staged.replace(path)
