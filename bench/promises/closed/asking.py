"""What checks are answered with while something is broken."""

import asyncio
import os
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bench.promises.estate import REPOSITORY, Estate
from ostiary.client.result import Verdict
from ostiary.wire.errors import OstiaryError, Reason

ALLOWED = str(Verdict.ALLOW)
LOOK_SECONDS = 0.5
_CALLERS = 16
_NO_ROOM_SECONDS = 0.05


def _image() -> bytes:
    """Another one each time."""
    return os.urandom(500)


async def answers(
    estate: Estate, count: int, ends: float, image: Callable[[], bytes] = _image, callers: int = _CALLERS
) -> Counter[str]:
    """What so many checks are answered with: verdicts, or reasons of errors.

    A check for which there was no room shows nothing: it is asked again, and not counted before.
    """
    told: Counter[str] = Counter()
    todo = iter(range(count))
    async with estate.client() as client:

        async def answer() -> str:
            while True:
                try:
                    return str((await client.check(image(), title="Cup")).verdict)
                except OstiaryError as error:
                    if error.reason is not Reason.OVERLOADED or time.monotonic() > ends:
                        return str(error.reason)
                await asyncio.sleep(_NO_ROOM_SECONDS)

        async def work() -> None:
            for _ in todo:
                if time.monotonic() > ends:
                    return
                told[await answer()] += 1

        await asyncio.gather(*(work() for _ in range(min(callers, count))))
    del told[str(Reason.OVERLOADED)]
    return told


async def sound(estate: Estate, image: Callable[[], bytes] = _image, seconds: float = 30.0) -> None:
    """Returns once a clean image is allowed, as it is while nothing is broken.

    Raises:
        TimeoutError: it never is: what is broken afterwards would show nothing.
    """
    ends = time.monotonic() + seconds
    while not (await answers(estate, 1, ends, image))[ALLOWED]:
        if time.monotonic() > ends:
            raise TimeoutError("no clean image is allowed: what is broken next would show nothing")
        await asyncio.sleep(0.2)


def refuses_to_start(estate: Estate) -> bool:
    """Whether a gateway with the files as they are ends as one that is told nonsense."""
    command = estate.gateway.command
    ended = subprocess.run(command, capture_output=True, cwd=REPOSITORY, timeout=60, check=False)
    return ended.returncode == 2


@asynccontextmanager
async def running(estate: Estate) -> AsyncIterator[Estate]:
    """The estate, started, and stopped in the end."""
    try:
        await estate.start()
        yield estate
    finally:
        await asyncio.to_thread(estate.stop)
