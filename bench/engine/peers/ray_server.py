"""Ray Serve with dynamic request batching, as its documentation shows it: `@serve.batch` on a method."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray import serve
from starlette.requests import Request
from stock import StockModel, Task, opened

TASK = Task.read(sys.argv[1])


# More may be under way than one batch holds: else no second batch could gather while the first is answered.
@serve.deployment(max_ongoing_requests=16 * TASK.max_batch)
class Checker:
    """Answers checks whose images come as the request's body."""

    def __init__(self, task: Task) -> None:
        self.model = StockModel(task)

    @serve.batch(max_batch_size=TASK.max_batch, batch_wait_timeout_s=0.05)
    async def look(self, files: list[bytes], descriptions: list[bool]) -> list[dict[str, Any]]:
        """Answer a batch, on a thread: the event loop goes on taking requests."""
        return await asyncio.to_thread(self._together, files, descriptions[0])

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answer one request."""
        answer: dict[str, Any] = await self.look(await request.body(), "description" in request.query_params)
        return answer

    def _together(self, files: list[bytes], description: bool) -> list[dict[str, Any]]:
        return self.model.together([opened(data) for data in files], description)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ray.init(
        num_cpus=len(os.sched_getaffinity(0)),
        include_dashboard=False,
        object_store_memory=200_000_000,
        _node_ip_address="127.0.0.1",
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(Checker.bind(TASK))
    signal.pause()
