"""A caller in a process of its own: python -m bench.promises.caller ENDPOINT CA CERT KEY COUNT OTLP SECONDS.

Prints the id of each check that it got a verdict for, a line each.
"""

import asyncio
import os
import sys
import time

from bench.promises.estate import REPOSITORY, SERVER_NAME, Estate
from ostiary.client.aio import AsyncClient
from ostiary.wire.errors import OstiaryError
from ostiary.wire.telemetry import setup

SERVICE = "caller"
_AT_ONCE = 8
_IMAGE_BYTES = 2_000


async def called(estate: Estate, count: int, otlp: str, seconds: float) -> list[str]:
    """Has a process check so often, or for so long; the ids that it was told.

    Raises:
        RuntimeError: the process failed.
    """
    files = estate.mounts["caller"].files
    arguments = [estate.listen, files.ca, files.cert, files.key, count, otlp, seconds]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.promises.caller",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the caller ended with {process.returncode}")
    return said.decode().split()


async def _main(endpoint: str, ca: str, cert: str, key: str, count: int, seconds: float) -> None:
    ends, todo = time.monotonic() + seconds, iter(range(count))
    client = AsyncClient(endpoint, ca=ca, cert=cert, key=key, server_name=SERVER_NAME)

    async def work() -> None:
        for number in todo:
            if time.monotonic() > ends:
                return
            try:
                result = await client.check(os.urandom(_IMAGE_BYTES), title=f"Cup {number}")
            except OstiaryError as error:
                sys.stderr.write(f"{error.reason}: {error.message}\n")
            else:
                sys.stdout.write(f"{result.check_id}\n")

    async with client:
        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


if __name__ == "__main__":
    telemetry = setup(SERVICE, sys.argv[6])
    endpoint, ca, cert, key, count, _, seconds = sys.argv[1:]
    asyncio.run(_main(endpoint, ca, cert, key, int(count), float(seconds)))
    telemetry.shutdown()
