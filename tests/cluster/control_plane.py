"""A real control plane from a folder of binaries, as envtest has them: etcd and kube-apiserver, and the
controller manager and the scheduler where they lie there too."""

import http.client
import os
import secrets
import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cluster.api_client import Api
from ostiary_operator.sandbox.credentials import kubeconfig, make_certificates

_PATIENCE = 120.0
"""Seconds that each of the processes may take until it is ready."""
_ATTEMPTS = 3
"""How often it is tried: a port that was free may be taken when a process wants it."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class ControlPlane:
    """Processes of one control plane; ended by `close`."""

    def __init__(self, assets: Path, folder: Path) -> None:
        self._assets = assets.resolve()
        self._folder = folder
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        for name in ("etcd", "kube-apiserver"):
            if not os.access(assets / name, os.X_OK):
                raise FileNotFoundError(f"KUBEBUILDER_ASSETS names {assets}, where there is no {name} to run")
        make_certificates(folder / "pki")
        self.admin = secrets.token_hex(16)
        self.users = {name: secrets.token_hex(16) for name in ("alice", "bob")}
        self._write_keys()
        for attempt in range(_ATTEMPTS):
            try:
                self._start_etcd()
                self._start_server()
                self._start_controllers()
                break
            except RuntimeError as error:
                self.close()
                if "address already in use" not in str(error) or attempt == _ATTEMPTS - 1:
                    raise
            except BaseException:
                self.close()
                raise

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _write_keys(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for name, data in (("sa.key", private), ("sa.pub", public)):
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_bytes(data)
        rows = [f"{self.admin},sandbox-admin,admin,system:masters"]
        rows += [f"{token},{name},{name}" for name, token in self.users.items()]
        tokens = self._folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("\n".join(rows) + "\n")

    def _run(self, name: str, *arguments: str) -> None:
        log = (self._folder / f"{name}.log").open("wb")
        with log:
            process = subprocess.Popen(  # the binaries under test
                [str(self._assets / name), *arguments], stdout=log, stderr=log, cwd=self._folder
            )
        self._processes.append((name, process))

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._etcd = client
        data = self._folder / f"etcd-{client.rpartition(':')[2]}"
        self._run(
            "etcd",
            f"--data-dir={data}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync=true",
        )
        self._wait_until_ready("etcd", f"{client}/health")

    def _start_server(self) -> None:
        self.port = free_port()
        pki = self._folder / "pki"
        self._run(
            "kube-apiserver",
            f"--etcd-servers={self._etcd}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--cert-dir={self._folder / 'certificates'}",
            f"--tls-cert-file={pki / 'server.pem'}",
            f"--tls-private-key-file={pki / 'server.key'}",
            f"--client-ca-file={pki / 'ca.pem'}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--service-account-issuer={self.url}",
            f"--service-account-key-file={self._folder / 'sa.pub'}",
            f"--service-account-signing-key-file={self._folder / 'sa.key'}",
            "--disable-admission-plugins=ServiceAccount",
            "--allow-privileged=true",
        )
        self._wait_until_ready("kube-apiserver", f"{self.url}/readyz", pki / "ca.pem")
        self.kubeconfig = self._folder / "kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(kubeconfig(self.url, (pki / "ca.pem").read_bytes(), self.admin))

    def _wait_until_ready(self, name: str, url: str, authority: Path | None = None) -> None:
        """Waits until a process says that it is well; the end of its log stands in what is raised instead."""
        deadline = time.monotonic() + _PATIENCE
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
        if authority is None:  # certificates that the controllers sign themselves, on loopback
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        headers = {"Authorization": f"Bearer {self.admin}"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  # a server that was started here
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        while True:
            for other, process in self._processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{other} ended with {process.returncode}:\n{self._log(other)}")
            try:
                with opener.open(request, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} was not ready after {_PATIENCE:.0f} s:\n{self._log(name)}")
            time.sleep(0.25)

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def _start_controllers(self) -> None:
        config = str(self.kubeconfig)
        further = {
            "kube-controller-manager": (
                f"--service-account-private-key-file={self._folder / 'sa.key'}",
                f"--root-ca-file={self._folder / 'pki' / 'ca.pem'}",
            ),
            "kube-scheduler": (),
        }
        for name, more in further.items():
            if not os.access(self._assets / name, os.X_OK):
                continue
            port = free_port()
            self._run(
                name,
                f"--kubeconfig={config}",
                f"--authentication-kubeconfig={config}",
                f"--authorization-kubeconfig={config}",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={port}",
                *more,
            )
            self._wait_until_ready(name, f"https://127.0.0.1:{port}/healthz")

    def api(self) -> Api:
        """The administrator's access."""
        return Api(
            "127.0.0.1",
            self.port,
            self._folder / "pki" / "ca.pem",
            self.admin,
            self.kubeconfig,
            controllers=any(name == "kube-controller-manager" for name, _ in self._processes),
            kubelets=False,
        )

    def close(self) -> None:
        """Ends the processes, the last started first."""
        while self._processes:
            _, process = self._processes.pop()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
