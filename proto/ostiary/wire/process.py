"""Runs a service process: logs, signals, exit codes; and loads its settings.

One event loop per process: the gRPC runtime binds itself to the first. Worker processes are spawned, never
forked, for the runtime does not survive a fork.
"""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import Literal

import structlog

from ostiary.wire.admin import AdminServer
from ostiary.wire.logs import configure_logs
from ostiary.wire.server import Server
from ostiary.wire.settings import load_settings
from ostiary.wire.telemetry import setup

__all__ = ["Stop", "load_settings", "observed", "run", "serve"]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2

_log = structlog.get_logger(__name__)


class Stop(asyncio.Event):
    """Set by the first SIGTERM or SIGINT: drain and return. A second signal cancels what still runs."""


def run(
    service_name: str,
    main: Callable[[Stop], Awaitable[None]],
    *,
    log_format: Literal["json", "text"] = "json",
) -> int:
    """Runs `main` until it returns, and returns the process's exit code.

    0: stopped in order. 2: a ValueError before or while serving, which is what bad settings, certificates and
    addresses raise. 1: anything else, or a second signal. `main` gets the event that signals set.
    """
    configure_logs(service_name, log_format)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_supervise(main))
    except ValueError as error:
        _log.error("process.refused", error=str(error))
        return EXIT_CONFIGURATION
    except Exception:
        _log.exception("process.failed")
        return EXIT_FAILED


async def serve(
    service_name: str,
    opened: AbstractAsyncContextManager[Server],
    stop: Stop,
    *,
    otlp_endpoint: str | None,
    admin: str | None = None,
) -> None:
    """Serves until `stop` is set: telemetry on, the server `opened` and, in the end, drained and closed.

    `admin` is the address of metrics and probes over HTTP, there from before the server is opened; None for
    none. One that is told to stop while it opens gives up opening. Raises what opening raises.
    """
    with observed(service_name, otlp_endpoint=otlp_endpoint, admin=admin) as probes:
        try:
            async with AsyncExitStack() as stack:
                server = await _unless(stop, stack.enter_async_context(opened))
                if server is None:
                    return
                probes.follow(lambda: server.serving)
                # What serving takes stays: it need not be looked through again and again for what is garbage.
                gc.collect()
                gc.freeze()
                _log.info("ready", address=server.address, health=server.health_address, admin=probes.address)
                await stop.wait()
        finally:
            gc.unfreeze()


@contextmanager
def observed(
    service_name: str, *, otlp_endpoint: str | None = None, admin: str | None = None
) -> Iterator[AdminServer]:
    """Telemetry on, and metrics and probes at `admin`, a `host:port`; None for none. For one event loop.

    Raises ValueError, naming the address, where it cannot be bound.
    """
    telemetry = setup(service_name, otlp_endpoint, scraped=admin is not None)
    try:
        probes = AdminServer(admin, telemetry.registry, asyncio.get_running_loop())
        probes.start()
        try:
            yield probes
        finally:
            probes.stop()
    finally:
        telemetry.shutdown()


async def _unless(stop: Stop, opening: Awaitable[Server]) -> Server | None:
    """What is opened; None where `stop` is set before: a start may wait for long."""
    limit = asyncio.timeout(None)

    async def give_up() -> None:
        await stop.wait()
        limit.reschedule(asyncio.get_running_loop().time())

    stopping = asyncio.create_task(give_up())
    try:
        async with limit:
            server = await opening
            stopping.cancel()
            return server
    except TimeoutError:
        if not limit.expired():
            raise
        return None
    finally:
        stopping.cancel()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loops where it is installed, asyncio's own elsewhere; nothing depends on which."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _supervise(main: Callable[[Stop], Awaitable[None]]) -> int:
    stop = Stop()
    task = asyncio.ensure_future(main(stop))

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            _log.warning("process.cancelled", signal=number.name)
            task.cancel()
        else:
            _log.info("process.stopping", signal=number.name)
            stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await task
    except asyncio.CancelledError:
        return EXIT_FAILED
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return EXIT_OK
