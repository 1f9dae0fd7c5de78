"""Metrics and probes over HTTP, on a port of their own: scrapers and kubelets present no certificate.

Runs on threads of its own, so that a scrape never waits for checks, nor checks for a scrape, and so that a
stuck event loop can be told from a busy one. It tells numbers and states; nothing can be changed through it.
"""

import asyncio
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ostiary.wire.listen import bind

METRICS, LIVE, READY = "/metrics", "/livez", "/readyz"

_TEXT = "text/plain; charset=utf-8"
_LOOP_SECONDS = 5.0
_CLIENT_SECONDS = 10.0

Answer = tuple[HTTPStatus, str, bytes]


class AdminServer:
    """`/metrics` for Prometheus, `/livez` and `/readyz` for orchestrators.

    Live: the event loop answers within five seconds, and nothing else hangs that `follow` was told of. Ready:
    what `follow` was given says so; before, not.
    """

    def __init__(
        self,
        address: str | None,
        registry: CollectorRegistry | None,
        loop: asyncio.AbstractEventLoop,
        loop_seconds: float = _LOOP_SECONDS,
    ) -> None:
        """`address` is `host:port`, port 0 takes a free one; None serves nothing at all.

        Raises ValueError, naming the address, where it cannot be bound.
        """
        self._registry = registry or CollectorRegistry()
        self._loop = loop
        self._loop_seconds = loop_seconds
        self._ready: Callable[[], bool] = lambda: False
        self._words: Callable[[], str] = lambda: "ready"
        self._trouble: Callable[[], str] = lambda: ""
        self._http: ThreadingHTTPServer | None = None
        self.address = bind(address, "admin address", self._open) if address else None
        """`host:port`, with the real port where 0 was asked."""

    def follow(
        self,
        ready: Callable[[], bool],
        words: Callable[[], str] = lambda: "ready",
        trouble: Callable[[], str] = lambda: "",
    ) -> None:
        """From now on `ready` says whether the process is, and `words` what is answered then; `trouble`: what
        hangs although the event loop answers, empty where nothing does. They are called from other threads.
        """
        self._ready, self._words, self._trouble = ready, words, trouble

    def start(self) -> None:
        """Begins to answer."""
        if self._http is not None:
            threading.Thread(target=self._http.serve_forever, name="ostiary.wire.admin", daemon=True).start()

    def stop(self) -> None:
        """Closes the port; answers under way are cut off with the process."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()

    def answer(self, path: str, accept: str) -> Answer:
        """What a GET of `path` gets; `accept` is the request's header."""
        match path.partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(accept)
                return HTTPStatus.OK, content_type, encode(self._registry)
            case "/livez":
                trouble = self._trouble() if self._loop_answers() else "the event loop does not answer"
                return _state(not trouble, "live", trouble)
            case "/readyz":
                return _state(self._ready(), self._words(), "not serving")
            case _:
                words = f"there are {METRICS}, {LIVE} and {READY}\n"
                return HTTPStatus.NOT_FOUND, _TEXT, words.encode()

    def _loop_answers(self) -> bool:
        answered = threading.Event()
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:  # the loop is closed
            return False
        return answered.wait(self._loop_seconds)

    def _open(self, address: str) -> int:
        host, _, port = address.rpartition(":")
        try:
            self._http = _Http((host.strip("[]"), int(port)), _handler(self.answer))
        except OSError as error:
            raise RuntimeError(str(error)) from error
        return self._http.server_port


class _Http(ThreadingHTTPServer):
    daemon_threads = True


def _handler(answer: Callable[[str, str], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS
        server_version, sys_version = "ostiary", ""

        def do_GET(self) -> None:
            """Answers with a body."""
            self._send(body=True)

        def do_HEAD(self) -> None:
            """Answers without one."""
            self._send(body=False)

        def _send(self, *, body: bool) -> None:
            status, content_type, data = answer(self.path, self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            """Probes come every few seconds: they are not worth a line."""

    return Handler


def _state(good: bool, words: str, otherwise: str) -> Answer:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, _TEXT, f"{words if good else otherwise}\n".encode()
