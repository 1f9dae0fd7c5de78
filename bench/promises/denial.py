"""Promise 9: denial is cheap."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.promises.contract import Outcome, Promise
from bench.promises.protected import credentials, prepare, status_of
from ostiary.cli.stack.files import free_ports
from ostiary.v1.image_pb2 import Image
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.channel import open_channel

UPLOADS = 240
UPLOAD_BYTES = 8 << 20
MOST_BYTES = 160e6
CHECK = "/ostiary.v1.ModerationService/Check"
_START = "from ostiary.cli.main import main; main()"
_WATCH_SECONDS = 0.02


@contextmanager
def gateway_process(folder: Path) -> Iterator[tuple[psutil.Process, str, str]]:
    """A gateway in a process of its own, with its address and that of its health service."""
    file = prepare(folder)
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["listen"], settings["health"] = (f"127.0.0.1:{port}" for port in free_ports(2))
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-c", _START, "gateway", "serve", "--config", str(file)]
    with (
        (folder / "gateway.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            yield psutil.Process(process.pid), settings["listen"], settings["health"]
        finally:
            process.terminate()


async def serving(address: str, seconds: float = 60.0) -> None:
    """Wait until the health service says so."""
    async with asyncio.timeout(seconds), grpc.aio.insecure_channel(address) as channel:
        # The stubs know no Watch.
        watch = health_pb2_grpc.HealthStub(channel).Watch(  # type: ignore[attr-defined]
            health_pb2.HealthCheckRequest(), wait_for_ready=True
        )
        async for state in watch:
            if state.status == health_pb2.HealthCheckResponse.SERVING:
                return


async def uploads(folder: Path, address: str, count: int) -> list[grpc.StatusCode]:
    """What callers hear who upload 8 MB each, at once, without the right to."""
    body = CheckRequest(images=[Image(data=bytes(UPLOAD_BYTES))]).SerializeToString()
    async with open_channel(
        address, credentials(folder / "auditor"), server_name="localhost", max_send_bytes=2 * UPLOAD_BYTES
    ) as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CHECK)

        async def upload() -> grpc.StatusCode:
            try:
                await check(body, timeout=60)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        return await asyncio.gather(*(upload() for _ in range(count)))


def run(seconds: float) -> Outcome:
    """Upload, and watch the gateway's memory meanwhile."""

    async def asked(folder: Path, process: psutil.Process, address: str, health: str) -> tuple[int, int]:
        await serving(health)
        async with open_channel(address, credentials(folder / "sre"), server_name="localhost") as channel:
            await status_of(channel, CHECK, streams=False)
        most, over = 0, asyncio.Event()

        async def watch() -> None:
            nonlocal most
            while not over.is_set():
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(_WATCH_SECONDS)

        watching = asyncio.create_task(watch())
        codes = await uploads(folder, address, UPLOADS)
        over.set()
        await watching
        return most, sum(code is not grpc.StatusCode.PERMISSION_DENIED for code in codes)

    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with gateway_process(folder) as (process, address, health):
            most, wrong = asyncio.run(asked(folder, process, address, health))
    what = f"resident bytes of a gateway that denies {UPLOADS} uploads of 8 MB; {wrong} heard something else"
    met = most <= MOST_BYTES and wrong == 0 and time.monotonic() - started < max(seconds, 60.0)
    return Outcome(UPLOADS, UPLOADS, most, MOST_BYTES, what, met)


PROMISE = Promise(9, "Denial is cheap", run)
