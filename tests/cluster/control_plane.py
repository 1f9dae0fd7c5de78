"""A real control plane from a folder of binaries, as envtest has them: etcd and kube-apiserver, and the
controller manager and the scheduler where they lie there too."""

import http.client
import os
import secrets
import socket
import ssl
import subprocess
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cluster.api_client import Api
from ostiary_operator.sandbox.credentials import kubeconfig, make_certificates

_PATIENCE = 90.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class ControlPlane:
    """Processes of one control plane; ended by `close`."""

    def __init__(self, assets: Path, folder: Path) -> None:
        self._assets = assets
        self._folder = folder
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        for name in ("etcd", "kube-apiserver"):
            if not os.access(assets / name, os.X_OK):
                raise FileNotFoundError(f"KUBEBUILDER_ASSETS names {assets}, where there is no {name} to run")
        make_certificates(folder / "pki")
        self.admin = secrets.token_hex(16)
        self.users = {name: secrets.token_hex(16) for name in ("alice", "bob")}
        self._write_keys()
        try:
            self._start_etcd()
            self._start_server()
            self._start_controllers()
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
        self._run(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )

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
        self._wait_until_ready()
        self.kubeconfig = self._folder / "kubeconfig"
        self.kubeconfig.write_text(kubeconfig(self.url, (pki / "ca.pem").read_bytes(), self.admin))

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        context = ssl.create_default_context(cafile=str(self._folder / "pki" / "ca.pem"))
        while True:
            for name, process in self._processes:
                if process.poll() is not None:
                    tail = (self._folder / f"{name}.log").read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"{name} ended with {process.returncode}:\n{tail}")
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=5)
            try:
                connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {self.admin}"})
                if connection.getresponse().status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            if time.monotonic() > deadline:
                tail = (self._folder / "kube-apiserver.log").read_text(errors="replace")[-3000:]
                raise TimeoutError(f"kube-apiserver was not ready after {_PATIENCE:.0f} s:\n{tail}")
            time.sleep(0.25)

    def _start_controllers(self) -> None:
        config = str(self.kubeconfig)
        shared = (
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        )
        if os.access(self._assets / "kube-controller-manager", os.X_OK):
            self._run(
                "kube-controller-manager",
                *shared,
                f"--secure-port={free_port()}",
                f"--service-account-private-key-file={self._folder / 'sa.key'}",
                f"--root-ca-file={self._folder / 'pki' / 'ca.pem'}",
            )
        if os.access(self._assets / "kube-scheduler", os.X_OK):
            self._run("kube-scheduler", *shared, f"--secure-port={free_port()}")

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
        for _, process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
