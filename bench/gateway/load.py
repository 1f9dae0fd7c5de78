"""The load, in a process of its own: `python -m bench.gateway.load < SPEC > RESULT`, both JSON.

Closed loop: so many callers, each with one call at a time. Open loop: seeded Poisson arrivals; a latency then
counts from when the call was due, so that a server that stalls is charged with all that it kept waiting.
"""

from __future__ import annotations  # the runtime's classes are generic in their stubs alone

import asyncio
import base64
import gc
import itertools
import json
import random
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import grpc

from bench.gateway import material
from bench.gateway.stub import INFER
from bench.gateway.tls import channel
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.moderation_pb2 import CheckResponse

REPOSITORY = Path(__file__).resolve().parents[2]
CHECK = "/ostiary.v1.ModerationService/Check"
_CONNECTIONS = 4
_DRAIN_SECONDS = 20.0

Ask = Callable[[], Awaitable[str]]
"""Makes one call; returns what it came to: `ok`, or why not."""


@dataclass(frozen=True)
class Spec:
    """What to send where.

    Attributes:
        way: `check` (our Check), `infer` (Infer itself, as it is proxied), `plain` (Infer without TLS) or
            `json` (HTTPS with the image in base64).
        address: `host:port`.
        credentials: the caller's folder of certificates.
        size: bytes of each image.
        clients: callers of a closed loop; 0 for an open one.
        per_second: calls a second of an open loop.
        warm_seconds: before anything is measured.
        seconds: that are measured.
        seed: of the arrivals.
    """

    way: str
    address: str
    credentials: str
    size: int
    clients: int = 0
    per_second: float = 0.0
    warm_seconds: float = 1.0
    seconds: float = 5.0
    seed: int = 1


@dataclass
class Outcome:
    """What came of it. Seconds throughout; `cpu` is what this process took while measuring.

    `calls`: when each was due since the measured time began, how long it took, and `ok` or why not.
    """

    window: float = 0.0
    cpu: float = 0.0
    calls: list[tuple[float, float, str]] = field(default_factory=list)

    def after(self, seconds: float) -> Outcome:
        """The same without the calls that were due before."""
        return replace(self, calls=[call for call in self.calls if call[0] >= seconds])

    @property
    def latencies(self) -> list[float]:
        """Of the calls that went well."""
        return [seconds for _, seconds, result in self.calls if result == "ok"]

    @property
    def refused(self) -> list[float]:
        """Of those that were refused for want of room."""
        return [seconds for _, seconds, result in self.calls if result == "RESOURCE_EXHAUSTED"]

    @property
    def failed(self) -> dict[str, int]:
        """How many calls went otherwise than well, by what they came to."""
        return dict(Counter(result for _, _, result in self.calls if result != "ok"))


@asynccontextmanager
async def opened(spec: Spec) -> AsyncIterator[Ask]:
    """What makes the calls of a spec."""
    images = [material.image(spec.size, number) for number in range(material.KINDS)]
    async with AsyncExitStack() as stack:
        if spec.way == "json":
            yield await _https(stack, spec, images)
            return
        yield await _grpc(stack, spec, images)


async def _grpc(stack: AsyncExitStack, spec: Spec, images: list[bytes]) -> Ask:
    if spec.way == "plain":
        large: list[tuple[str, int | str]] = [
            ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.max_send_message_length", 64 << 20),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        channels = [grpc.aio.insecure_channel(spec.address, options=large) for _ in range(_CONNECTIONS)]
    else:
        channels = [channel(spec.address, Path(spec.credentials)) for _ in range(_CONNECTIONS)]
    for each in channels:
        await stack.enter_async_context(each)
    path = CHECK if spec.way == "check" else INFER
    asking: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = [
        each.unary_unary(path) for each in channels
    ]
    calls = itertools.cycle(asking)
    numbers = itertools.count()
    bodies = [
        material.check_body(data) if spec.way == "check" else material.infer_body(data) for data in images
    ]

    async def ask() -> str:
        number = next(numbers)
        body = bodies[number % len(bodies)]
        if spec.way == "check":
            body = material.keyed(body, f"{spec.seed}-{time.time_ns()}-{number}")
        try:
            answer = await next(calls)(body, timeout=60.0)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return _judged(answer) if spec.way == "check" else "ok"

    return ask


def _judged(answer: bytes) -> str:
    """Nothing is wrong with the images: any verdict but ALLOW means that something else went wrong."""
    verdict = CheckResponse.FromString(answer).verdict
    return "ok" if verdict == Verdict.VERDICT_ALLOW else Verdict.Name(verdict)


async def _https(stack: AsyncExitStack, spec: Spec, images: list[bytes]) -> Ask:
    import aiohttp

    folder = Path(spec.credentials)
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    bodies = [json.dumps({"image": base64.b64encode(data).decode()}).encode() for data in images]
    numbers = itertools.count()
    host, _, port = spec.address.rpartition(":")
    url = f"https://localhost:{port}/predict" if host == "127.0.0.1" else f"https://{spec.address}/predict"

    async def ask() -> str:
        body = bodies[next(numbers) % len(bodies)]
        try:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                await answer.read()
                return "ok" if answer.status == 200 else f"HTTP {answer.status}"
        except aiohttp.ClientError as error:
            return type(error).__name__

    return ask


class Load:
    """One run of a spec."""

    def __init__(self, spec: Spec, ask: Ask) -> None:
        self._spec = spec
        self._ask = ask
        self._outcome = Outcome()
        self._from = time.perf_counter() + spec.warm_seconds
        self._until = self._from + spec.seconds

    async def run(self) -> Outcome:
        """Send, and count what began (open loop) or ended (closed loop) within the time that is measured."""
        watching = asyncio.create_task(self._watch())
        await (self._closed() if self._spec.clients else self._open())
        await watching
        return self._outcome

    async def _watch(self) -> None:
        await asyncio.sleep(max(0.0, self._from - time.perf_counter()))
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(max(0.0, self._until - time.perf_counter()))
        self._outcome.window = time.perf_counter() - began
        self._outcome.cpu = time.process_time() - cpu

    async def _closed(self) -> None:
        async def caller() -> None:
            while (sent := time.perf_counter()) < self._until:
                result = await self._ask()
                ended = time.perf_counter()
                if self._from <= ended < self._until:
                    self._count(sent, ended, result)
                if result != "ok":
                    await asyncio.sleep(0.05)  # as a caller would: one that comes back at once is a flood

        await asyncio.gather(*(caller() for _ in range(self._spec.clients)))

    async def _open(self) -> None:
        rng = random.Random(self._spec.seed)
        due, calls = time.perf_counter(), set[asyncio.Task[None]]()

        async def call(due: float) -> None:
            result = await self._ask()
            if due >= self._from:
                self._count(due, time.perf_counter(), result)

        while due < self._until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(call(due))
            calls.add(task)
            task.add_done_callback(calls.discard)
            due += rng.expovariate(self._spec.per_second)
        if calls:
            await asyncio.wait(calls, timeout=_DRAIN_SECONDS)

    def _count(self, due: float, ended: float, result: str) -> None:
        self._outcome.calls.append((round(due - self._from, 6), round(ended - due, 6), result))


async def answers(spec: Spec, seconds: float = 90.0) -> None:
    """Wait until the server answers one call. Raises TimeoutError."""
    result = "nothing"
    over = time.monotonic() + seconds
    async with opened(spec) as ask:
        while time.monotonic() < over:
            result = await ask()
            if result == "ok":
                return
            await asyncio.sleep(0.25)
    raise TimeoutError(f"{spec.address} does not answer: {result}")


async def measured(spec: Spec) -> Outcome:
    """Run a spec."""
    async with opened(spec) as ask:
        # A look through all that was imported takes 0.2 s, which callers would be said to have waited.
        gc.collect()
        gc.freeze()
        return await Load(spec, ask).run()


def loaded(spec: Spec) -> Outcome:
    """What came of a load that is put on by a process of its own. Raises RuntimeError where that failed."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.gateway.load"],
        input=json.dumps(asdict(spec)),
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip().splitlines()[-1:]}")
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(measured(Spec(**json.load(sys.stdin)))))))
