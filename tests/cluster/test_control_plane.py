"""The suite's own footing: a real control plane, where one is named, and how it is started."""

import os
import sys
from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane

REASON = (
    "KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd: conformance ran on the sandbox alone"
)


@pytest.mark.skipif(not os.environ.get("KUBEBUILDER_ASSETS"), reason=REASON)
def test_the_control_plane_answers(control_plane: ControlPlane) -> None:
    """The binaries that KUBEBUILDER_ASSETS names were started and serve."""
    api = control_plane.api()
    assert api.get("/readyz").data == b"ok"
    api.close()


def test_a_folder_without_binaries_is_told(tmp_path: Path) -> None:
    """A wrong KUBEBUILDER_ASSETS is an error and no reason to skip."""
    with pytest.raises(FileNotFoundError, match="there is no etcd to run"):
        ControlPlane(tmp_path, tmp_path)


_STAND_IN = """#!{python}
import http.server, ssl, sys
flags = dict(one[2:].split("=", 1) for one in sys.argv[1:])
tokens = {{}}
if "token-auth-file" in flags:
    rows = [line.split(",") for line in open(flags["token-auth-file"]).read().splitlines()]
    tokens = {{f"Bearer {{row[0]}}": row for row in rows}}
    for name in ("client-ca-file", "service-account-key-file", "service-account-signing-key-file"):
        assert open(flags[name]).read().startswith("-----BEGIN"), name


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = not tokens or tokens.get(self.headers.get("Authorization"), [""])[-1] == "system:masters"
        body = b"ok"
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


port = flags.get("secure-port") or flags["listen-client-urls"].rpartition(":")[2]
server = http.server.HTTPServer(("127.0.0.1", int(port)), Handler)
if "tls-cert-file" in flags:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(flags["tls-cert-file"], flags["tls-private-key-file"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def put(folder: Path, name: str, text: str) -> None:
    """Writes something that can be run."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)


def test_processes_are_started_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, certificates and tokens are where the flags say, and all processes end together."""
    for name in ("etcd", "kube-apiserver"):
        put(tmp_path, name, _STAND_IN.format(python=sys.executable))
    monkeypatch.chdir(tmp_path)
    plane = ControlPlane(Path(), tmp_path)
    try:
        api = plane.api()
        assert api.get("/readyz").data == b"ok"
        assert not api.controllers
        assert api.acting_as(plane.users["alice"]).get("/readyz").code == 401
    finally:
        plane.close()
    with pytest.raises(OSError, match="refused"):
        plane.api().get("/readyz")


def test_a_process_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    """What does not start says why, at once."""
    put(tmp_path, "etcd", "#!/bin/sh\necho no such flag >&2\nexit 3\n")
    put(tmp_path, "kube-apiserver", "#!/bin/sh\n")
    with pytest.raises(RuntimeError, match="etcd ended with 3:\nno such flag"):
        ControlPlane(tmp_path, tmp_path)
