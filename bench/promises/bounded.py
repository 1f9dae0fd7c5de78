"""Promise 8: memory is bounded."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import psutil

from bench.gateway import material
from bench.gateway.load import CHECK, loaded
from bench.gateway.tls import channel
from bench.promises.contract import Outcome, Promise
from bench.promises.crowd import FIFTY, SLOW, Crowded, crowded
from ostiary.v1.moderation_pb2 import CheckResponse, GetCanonicalImageRequest

REQUESTS = 200_000
MOST_BYTES = 512e6
GROWTH = 50.0
READERS = 32
GET_IMAGE = "/ostiary.v1.ModerationService/GetCanonicalImage"
_WARM_SHARE = 0.15
_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.5


@dataclass
class Memory:
    """Resident bytes of a process, looked at over and over."""

    samples: list[tuple[float, int]] = field(default_factory=list)

    @property
    def most(self) -> int:
        """The most at once."""
        return max((size for _, size in self.samples), default=0)

    def growth(self, since: float, until: float) -> float:
        """Bytes between the first and the last tenth of a time: medians, for memory comes and goes."""
        tenth = (until - since) / 10
        first = [size for at, size in self.samples if since <= at < since + tenth]
        last = [size for at, size in self.samples if until - tenth <= at <= until]
        return statistics.median(last) - statistics.median(first) if first and last else 0.0


@contextmanager
def watched(process: psutil.Process) -> Iterator[Memory]:
    """The memory of a process for as long as the context is open."""
    memory, over = Memory(), threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            memory.samples.append((time.monotonic(), process.memory_info().rss))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()


class SlowReaders(threading.Thread):
    """Callers who fetch large canonical images and take a long time over each piece."""

    def __init__(self, crowd: Crowded) -> None:
        super().__init__(daemon=True)
        self._crowd = crowd
        self._over = threading.Event()
        self.read = 0
        """Images that were read to their end."""

    def run(self) -> None:
        """Read until told to stop."""
        asyncio.run(self._all())

    def stop(self) -> None:
        """Read no more."""
        self._over.set()
        self.join()

    async def _all(self) -> None:
        async with channel(self._crowd.address, self._crowd.site.credentials("pipeline")) as to:
            check_id = await self._checked(to)
            await asyncio.gather(*(self._reader(to, check_id) for _ in range(READERS)))

    async def _checked(self, to: grpc.aio.Channel) -> str:
        body = material.keyed(material.check_body(material.image(material.SIZES["2 MB"], 0)), "slow readers")
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = to.unary_unary(CHECK)
        answer = await check(body, timeout=60)
        return CheckResponse.FromString(answer).check_id

    async def _reader(self, to: grpc.aio.Channel, check_id: str) -> None:
        request = GetCanonicalImageRequest(check_id=check_id).SerializeToString()
        fetch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = to.unary_stream(GET_IMAGE)
        while not self._over.is_set():
            try:
                async for _ in fetch(request):
                    await asyncio.sleep(_PAUSE_SECONDS)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(_PAUSE_SECONDS)  # the gateway may well refuse somebody under such a load
            else:
                self.read += 1


def run(seconds: float) -> Outcome:
    """Ten times what the pod carries, with slow readers beside, until there were enough requests."""
    pod = FIFTY if seconds >= 60 else SLOW
    wanted = 1.02 * REQUESTS / (1 - _WARM_SHARE) / pod.crowd
    long = min(wanted, max(4.0, seconds * 0.8))
    with tempfile.TemporaryDirectory() as name, crowded(Path(name), pod) as crowd:
        readers = SlowReaders(crowd)
        readers.start()
        with watched(crowd.process) as memory:
            started = time.monotonic()
            load = loaded(replace(crowd.spec, per_second=pod.crowd, seconds=long, seed=8))
            ended = started + long
        readers.stop()
    warm = _WARM_SHARE * long
    requests = sum(due >= warm for due, _, _ in load.calls)
    growth = memory.growth(started + warm, ended) / max(1, requests)
    return shown(requests, memory.most, growth, readers.read)


def shown(requests: int, most: int, growth: float, read: int) -> Outcome:
    """Growth counts once there were enough requests: of a few thousand, it tells nothing but noise."""
    words = (
        f"resident bytes at most, with {READERS} slow readers ({read} images read); growth after warm-up "
        f"{growth:.1f} bytes a request (at most {GROWTH:g}, from {REQUESTS:,} requests on)"
    )
    grown = requests >= REQUESTS and growth > GROWTH
    return Outcome(requests, REQUESTS, most, MOST_BYTES, words, most <= MOST_BYTES and read > 0 and not grown)


PROMISE = Promise(8, "Memory is bounded", run)
