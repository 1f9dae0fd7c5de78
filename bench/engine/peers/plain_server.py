"""The simplest server around the stock model: threads take HTTP requests, one worker answers from a queue.

`plain_server.py TASK PORT one-by-one` answers check after check as the tutorial does; `together` answers all
that wait, up to the task's `max_batch`, with one `generate`.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stock import StockModel, Task, opened

# A file, whether a description is wanted, whether margins are wanted, and where the answer goes.
Waiting = tuple[bytes, bool, bool, "Future[dict[str, Any]]"]


class Worker(threading.Thread):
    """Owns the model. Checks of one batch all want a description, or none does."""

    def __init__(self, task: Task, together: bool) -> None:
        super().__init__(daemon=True)
        self._task = task
        self._limit = task.max_batch if together else 1
        self._together = together
        self.line: queue.Queue[Waiting] = queue.Queue()

    def run(self) -> None:
        """Answer until the process ends."""
        model = StockModel(self._task)
        while True:
            batch = [self.line.get()]
            while len(batch) < self._limit and not self.line.empty():
                batch.append(self.line.get())
            try:
                answers = self._answers(model, batch)
            except Exception as error:
                for *_, future in batch:
                    future.set_exception(error)
                continue
            for (*_, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)

    def _answers(self, model: StockModel, batch: list[Waiting]) -> list[dict[str, Any]]:
        description = batch[0][1]
        images = [opened(data) for data, *_ in batch]
        if self._together:
            answers = model.together(images, description)
        else:
            answers = [model.one_by_one(image, description) for image in images]
        for (_, _, margins, _), image, answer in zip(batch, images, answers, strict=True):
            if margins:
                answer["margins"] = model.margins(image)
        return answers


def handler(line: queue.Queue[Waiting]) -> type[BaseHTTPRequestHandler]:
    """What answers HTTP requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # named by the library
            data = self.rfile.read(int(self.headers["Content-Length"]))
            future: Future[dict[str, Any]] = Future()
            line.put((data, "description=1" in self.path, "margins=1" in self.path, future))
            try:
                status, body = 200, future.result()
            except Exception as error:
                status, body = 500, {"error": repr(error)}
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # named by the library
            """Nothing: a line for each request would be part of what is measured."""

    return Handler


class Server(ThreadingHTTPServer):
    """One thread a connection."""

    daemon_threads = True
    request_queue_size = 1024


if __name__ == "__main__":
    worker = Worker(Task.read(sys.argv[1]), together=sys.argv[3] == "together")
    worker.start()
    Server(("127.0.0.1", int(sys.argv[2])), handler(worker.line)).serve_forever()
