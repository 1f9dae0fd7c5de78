"""The HTTP API of a Prometheus server, on loopback; what it answers is each test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Json = dict[str, Any]


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A running server; its URL."""
    application = web.Application()
    application.router.add_post("/api/v1/{what}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def success(kind: str, result: list[Json]) -> web.Response:
    """An answer of a result type, `vector` or `matrix`."""
    return web.json_response({"status": "success", "data": {"resultType": kind, "result": result}})
