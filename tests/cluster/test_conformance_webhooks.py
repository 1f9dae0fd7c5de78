"""Admission webhooks: one that changes objects, and one that refuses them."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cluster.api_client import Api
from cluster.shapes import config_map
from ostiary_operator.sandbox.credentials import make_certificates

Json = dict[str, Any]
_REGISTRY = "/apis/admissionregistration.k8s.io/v1"


class _Reviewer(BaseHTTPRequestHandler):
    """Labels what it sees, and refuses what is called `bad`."""

    def do_POST(self) -> None:  # the library's word
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        response: Json = {"uid": request["uid"], "allowed": True}
        if self.path.startswith("/mutate"):
            patch = [{"op": "add", "path": "/data/seen", "value": request["operation"]}]
            encoded = base64.b64encode(json.dumps(patch).encode()).decode()
            response |= {"patchType": "JSONPatch", "patch": encoded}
        elif request["name"] == "bad":
            response |= {"allowed": False, "status": {"message": "bad is a bad name"}}
        elif request["name"] == "worse":
            response |= {"allowed": False, "status": {"code": 403, "reason": "Forbidden"}}
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def reviewer(tmp_path: Path) -> Iterator[Json]:
    """A webhook server; the client configuration that leads to it."""
    make_certificates(tmp_path)
    server = HTTPServer(("127.0.0.1", 0), _Reviewer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    bundle = base64.b64encode((tmp_path / "ca.pem").read_bytes()).decode()
    yield {"url": f"https://127.0.0.1:{server.server_port}", "caBundle": bundle}
    server.shutdown()
    thread.join()
    server.server_close()


def hook(client: Json, path: str, namespace: str, **more: Any) -> Json:
    """A webhook for the ConfigMaps of one namespace."""
    operations = ["CREATE", "UPDATE"]
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": operations}
    return {
        "name": "review.conformance.ostiary.dev",
        "clientConfig": client | {"url": f"{client['url']}{path}"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {"matchLabels": {"reviewed": "yes"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **more,
    }


@pytest.fixture
def register(api: Api, namespace: str) -> Iterator[Any]:
    """Registers a webhook for the time of a test."""
    made: list[str] = []

    def registered(plural: str, webhook: Json) -> None:
        path = f"{_REGISTRY}/{plural}"
        api.made(path, {"metadata": {"name": namespace}, "webhooks": [webhook]})
        made.append(f"{path}/{namespace}")

    yield registered
    for path in made:
        api.delete(path)


def eventually(holds: Any, seconds: float = 15.0) -> None:
    """Tries until it holds: a server takes a moment to know a new webhook."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_webhook_changes_objects(
    api: Api, maps: str, namespace: str, reviewer: Json, register: Any
) -> None:
    """What a mutating webhook patches is stored; what its selectors leave out is not shown to it."""
    register("mutatingwebhookconfigurations", hook(reviewer, "/mutate", namespace))
    labels = {"reviewed": "yes"}

    def seen() -> bool:
        tried = api.post(maps, config_map("try", labels=labels), None, dryRun="All").body
        return bool(tried["data"].get("seen") == "CREATE")

    eventually(seen)
    assert api.made(maps, config_map("one", labels=labels))["data"] == {"a": "1", "seen": "CREATE"}
    assert api.patch(f"{maps}/one", {"data": {"a": "2"}}).body["data"] == {"a": "2", "seen": "UPDATE"}
    assert api.made(maps, config_map("two"))["data"] == {"a": "1"}


def test_a_webhook_refuses(api: Api, maps: str, namespace: str, reviewer: Json, register: Any) -> None:
    """A refusal has the webhook's words and code, which is 400 where it names none."""
    register("validatingwebhookconfigurations", hook(reviewer, "/validate", namespace))
    labels = {"reviewed": "yes"}
    eventually(lambda: api.post(maps, config_map("bad", labels=labels), None, dryRun="All").code != 201)
    answer = api.post(maps, config_map("bad", labels=labels))
    assert answer.code == 400
    denied = 'admission webhook "review.conformance.ostiary.dev" denied the request'
    assert answer.body["message"] == f"{denied}: bad is a bad name"
    answer = api.post(maps, config_map("worse", labels=labels))
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert answer.body["message"] == f"{denied}: Forbidden"
    assert api.post(maps, config_map("good", labels=labels)).code == 201


@pytest.mark.parametrize(("policy", "code"), [("Fail", 500), ("Ignore", 201)])
def test_a_webhook_that_is_not_there(
    api: Api, maps: str, namespace: str, register: Any, policy: str, code: int
) -> None:
    """Its failurePolicy says whether a write without its answer is refused."""
    nowhere = hook({"url": "https://127.0.0.1:9"}, "/", namespace, failurePolicy=policy, timeoutSeconds=2)
    register("validatingwebhookconfigurations", nowhere)
    labels = {"reviewed": "yes"}
    eventually(lambda: api.post(maps, config_map("try", labels=labels), None, dryRun="All").code == code)
    answer = api.post(maps, config_map(labels=labels))
    assert answer.code == code
    if code == 500:
        assert 'failed calling webhook "review.conformance.ostiary.dev"' in answer.body["message"]
