"""A plain HTTP client for conformance tests: what goes over the wire is what stands in the test."""

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

Json = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_GETTING_READY = 20.0
"""Seconds that a server may take until it serves a resource that has just been defined."""


@dataclass
class Answer:
    """What came back."""

    code: int
    headers: dict[str, str]
    data: bytes
    warnings: list[str]

    @property
    def body(self) -> Json:
        found: Json = json.loads(self.data)
        return found

    @property
    def reason(self) -> str:
        """`reason` of a Status object."""
        body = self.body
        assert body["kind"] == "Status", body
        assert body["code"] == self.code
        return str(body.get("reason", ""))

    @property
    def causes(self) -> list[Json]:
        found: list[Json] = self.body["details"].get("causes", [])
        return found


@dataclass
class Api:
    """One user's access to one server."""

    host: str
    port: int
    authority: Path
    token: str
    kubeconfig: Path | None = None
    controllers: bool = True
    """Whether Deployments, garbage and namespaces are looked after."""
    kubelets: bool = True
    """Whether pods run."""
    agent: str = "conformance/1.0"
    _connection: http.client.HTTPSConnection | None = field(default=None, repr=False)

    def acting_as(self, token: str) -> "Api":
        """The same server for another user."""
        return Api(self.host, self.port, self.authority, token, None, self.controllers, self.kubelets)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, timeout: float = 30.0) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.authority))
        return http.client.HTTPSConnection(self.host, self.port, context=context, timeout=timeout)

    def _headers(self, headers: dict[str, str] | None = None) -> dict[str, str]:
        made = {"Accept": "application/json", "User-Agent": self.agent}
        if self.token:
            made["Authorization"] = f"Bearer {self.token}"
        return made | (headers or {})

    def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: str
    ) -> Answer:
        """One request; a connection that the server closed meanwhile is opened again."""
        data = None
        made = self._headers(headers)
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            made.setdefault("Content-Type", "application/json")
        url = f"{path}?{urlencode(query)}" if query else path
        deadline = time.monotonic() + _GETTING_READY
        while True:
            response, content = self._sent(method, url, data, made)
            if not _begins(response.status, content) or time.monotonic() > deadline:
                break
            time.sleep(0.25)
        warnings = [value for name, value in response.getheaders() if name.lower() == "warning"]
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, content, warnings)

    def _sent(
        self, method: str, url: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        for attempt in (0, 1):
            if self._connection is None:
                self._connection = self._connect()
            try:
                self._connection.request(method, url, data, headers)
                response = self._connection.getresponse()
                return response, response.read()
            except (http.client.HTTPException, ConnectionError, ssl.SSLError):
                self.close()
                if attempt:
                    raise
        raise AssertionError("unreachable")

    def get(self, path: str, headers: dict[str, str] | None = None, **query: str) -> Answer:
        return self.send("GET", path, None, headers, **query)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None, **query: str) -> Answer:
        return self.send("POST", path, body, headers, **query)

    def put(self, path: str, body: Any, **query: str) -> Answer:
        return self.send("PUT", path, body, None, **query)

    def patch(self, path: str, body: Any, kind: str = MERGE_PATCH, **query: str) -> Answer:
        return self.send("PATCH", path, body, {"Content-Type": kind}, **query)

    def apply(self, path: str, body: Json, manager: str = "tester", **query: str) -> Answer:
        """Server-side apply."""
        return self.patch(path, body, APPLY_PATCH, fieldManager=manager, **query)

    def put_ostiary(self, namespace: str, kind: str, plural: str, name: str, spec: Json) -> None:
        """Makes an object of the operator's kinds, or gives it another spec."""
        body = {"apiVersion": "ostiary.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        answer = self.apply(f"/apis/ostiary.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}", body)
        assert answer.code < 300, answer.data

    def delete(self, path: str, body: Any = None, **query: str) -> Answer:
        return self.send("DELETE", path, body, None, **query)

    def made(self, path: str, body: Json, **query: str) -> Json:
        """Creates an object; the object as it was created."""
        answer = self.post(path, body, None, **query)
        assert answer.code == 201, answer.data
        return answer.body

    def watch(self, path: str, seconds: float = 10.0, **query: str) -> Iterator[Json]:
        """Events of a watch, until it ends or `seconds` are over."""
        query = {"watch": "true", "timeoutSeconds": str(max(int(seconds), 1)), **query}
        deadline = time.monotonic() + _GETTING_READY
        while True:
            connection = self._connect(seconds + 5)
            connection.request("GET", f"{path}?{urlencode(query, quote_via=quote)}", None, self._headers())
            response = connection.getresponse()
            if response.status == 200:
                break
            content = response.read()
            connection.close()
            if not _begins(response.status, content) or time.monotonic() > deadline:
                yield {"type": "ERROR", "object": json.loads(content)}
                return
            time.sleep(0.25)
        try:
            while line := response.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def until(
        self, path: str, holds: Any, seconds: float = 60.0, headers: dict[str, str] | None = None
    ) -> Json:
        """Reads an object until it is as it shall be; AssertionError where that takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.get(path, headers)
            if holds(answer):
                return answer.body if answer.data[:1] == b"{" else {}
            assert time.monotonic() < deadline, answer.data
            time.sleep(0.05)


def _begins(code: int, content: bytes) -> bool:
    """Whether a server says that its cache of a resource is not there yet, as one does after a definition."""
    return code == 429 and b"initializing" in content
