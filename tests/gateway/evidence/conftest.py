"""A real S3 server, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

# Where `make test` puts it: beside the environment, because it wants older packages than ours.
SERVER = Path(os.environ.get("OSTIARY_S3_SERVER", Path(sys.prefix) / "s3server"))
_START_SECONDS = 30.0


def _put(port: int, path: str, body: bytes = b"") -> None:
    """A request as the server's own client would sign it; the server believes every signature."""
    signed = (
        "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
    )
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("PUT", path, body, {"Authorization": signed})
        assert connection.getresponse().status == 200


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Its URL, with the buckets `evidence`, and `versioned`, which keeps old versions."""
    if not (SERVER / "moto").is_dir():
        words = f"no S3 server in {SERVER}: pip install --no-deps --target it -r s3_server.txt"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(words)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(SERVER)}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(server, port)
        for bucket in ("evidence", "versioned"):
            _put(port, f"/{bucket}")
        states = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        _put(port, "/versioned?versioning", states)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _await(server: "subprocess.Popen[bytes]", port: int) -> None:
    ends = time.monotonic() + _START_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2):
                return
        except OSError:
            if server.poll() is not None or time.monotonic() > ends:
                raise
            time.sleep(0.1)
