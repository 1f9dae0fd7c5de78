"""A gateway under load for long, while everything around it changes: `make soak MINUTES=20`.

Certificates and authorities are rotated, pods are killed and come back, policy, roles and route are replaced.
Every check is valid; none may fail. Writes `bench/results/soak.json`.
"""

import argparse
import asyncio
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import structlog

from bench.promises.estate import Estate
from bench.promises.rotation import Rotations, Tally
from bench.report import RESULTS, Bar, Report, installed, show, write
from ostiary.client.aio import AsyncClient
from ostiary.client.result import Verdict
from ostiary.wire.errors import OstiaryError

PODS = 3
SHARE = 0.8
_IMAGE_BYTES = 20_000
_CALLERS = 16
_LOOK_SECONDS = 0.05  # so that a pod that is killed has checks in hand
_DOWN_SECONDS = 2.0
_VERSIONS = ("grpcio", "protobuf", "cryptography")


@dataclass
class Heard:
    """What callers heard.

    Attributes:
        seconds: how long each check took.
        failures: what was not ALLOW, with how often, in words.
    """

    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    async def check(self, client: AsyncClient) -> None:
        """One check of a clean image."""
        started = time.perf_counter()
        try:
            result = await client.check(os.urandom(_IMAGE_BYTES), title="Cup")
        except OstiaryError as error:
            self.failures[f"{error.reason}: {error.message}"] += 1
        else:
            if result.verdict is not Verdict.ALLOW:
                reasons = {f"{reason.code}: {reason.detail}" for reason in result.hold_reasons}
                self.failures[" ".join([result.verdict, *sorted(reasons)])] += 1
        self.seconds.append(time.perf_counter() - started)

    def percentile(self, share: float) -> float | None:
        """In milliseconds; None where nothing was heard."""
        if not self.seconds:
            return None
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def capacity(estate: Estate, seconds: float) -> float:
    """Checks a second that callers get answered who never pause."""
    heard, ends = Heard(), time.monotonic() + seconds
    async with estate.client() as client:

        async def work() -> None:
            while time.monotonic() < ends:
                await heard.check(client)

        started = time.monotonic()
        await asyncio.gather(*(work() for _ in range(_CALLERS)))
    return len(heard.seconds) / (time.monotonic() - started)


async def load(estate: Estate, rate: float, heard: Heard, stop: asyncio.Event) -> None:
    """Checks at a rate, through the SDK as pipelines use it."""
    async with estate.client(attempts=3) as client:

        async def work(number: int) -> None:
            due = time.monotonic() + number / rate
            while not stop.is_set():
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                # One that was late does not make up for it: the rate is an upper bound.
                due = max(due, time.monotonic()) + _CALLERS / rate
                await heard.check(client)

        await asyncio.gather(*(work(number) for number in range(_CALLERS)))


class Changes:
    """What happens around the gateway, one thing after the other."""

    def __init__(self, estate: Estate, rng: random.Random) -> None:
        self.made: Counter[str] = Counter()
        self._estate = estate
        self._rng = rng
        self._tally = Tally()
        self._rotations = Rotations(estate, self._tally, rng)
        self._texts = {name: (estate.home / name).read_text() for name in ("policy.yaml", "roles.yaml")}

    async def go_on(self, stop: asyncio.Event, pause: float) -> None:
        """Changes until told to stop."""
        kinds: Sequence[Callable[[], Awaitable[None]]] = (self._leaves, self._kill, self._reload, self._root)
        while not stop.is_set():
            for change in kinds:
                if not stop.is_set():
                    await change()
                    self.made[change.__name__.strip("_")] += 1
                    await asyncio.sleep(pause)

    async def _leaves(self) -> None:
        await self._rotations.leaves()

    async def _root(self) -> None:
        await self._rotations.root(self.made["root"])

    async def _kill(self) -> None:
        service = self._estate.services[self._rng.choice(sorted(self._estate.services))]
        await asyncio.to_thread(service.kill)
        await asyncio.sleep(_DOWN_SECONDS)
        service.start()
        await service.ready()

    async def _reload(self) -> None:
        number = self.made["reload"] + 2
        for name, text in self._texts.items():
            self._estate.write(name, f"{text}\n# {number}\n")
        self._estate.route(epoch=number)
        await asyncio.sleep(1.5)

    @property
    def rotations(self) -> int:
        """Sets of files that were replaced."""
        return self._tally.rotations


class Watch:
    """The gateway's memory and processor time."""

    def __init__(self, pid: int) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self._process = psutil.Process(pid)

    async def go_on(self, heard: Heard, stop: asyncio.Event, every: float) -> None:
        """A row each so many seconds."""
        started, before, cpu = time.monotonic(), 0, self._cpu()
        while not stop.is_set():
            await asyncio.sleep(every)
            count, used = len(heard.seconds), self._cpu()
            self.rows.append(
                {
                    "minute": (time.monotonic() - started) / 60,
                    "checks/s": (count - before) / every,
                    "p50 ms": 1000 * statistics.median(heard.seconds[before:] or [0.0]),
                    "failed": heard.failures.total(),
                    "gateway RSS MB": self._process.memory_info().rss / 1e6,
                    "gateway CPU cores": (used - cpu) / every,
                }
            )
            before, cpu = count, used

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


async def soak(folder: Path, seconds: float, seed: int = 0, pause: float = 2.0) -> Report:
    """Everything at once, for so long."""
    estate = Estate(folder, pods=PODS, seconds=_LOOK_SECONDS)
    heard, stop = Heard(), asyncio.Event()
    try:
        await estate.start()
        most = await capacity(estate, max(2.0, min(15.0, seconds / 10)))
        rate = SHARE * most
        watch, changes = Watch(estate.gateway.pid), Changes(estate, random.Random(seed))
        own = psutil.Process()
        used = sum(own.cpu_times()[:2])
        started = time.monotonic()
        tasks = [
            asyncio.create_task(load(estate, rate, heard, stop)),
            asyncio.create_task(watch.go_on(heard, stop, max(1.0, seconds / 20))),
            asyncio.create_task(changes.go_on(stop, pause)),
        ]
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        stop.set()
        await asyncio.gather(*tasks)
        took = time.monotonic() - started
    finally:
        await asyncio.to_thread(estate.stop)
    summary = {
        "seconds": took,
        "capacity/s": most,
        "asked/s": rate,
        "checks": len(heard.seconds),
        "checks/s": len(heard.seconds) / took,
        "p50 ms": heard.percentile(0.5),
        "p99 ms": heard.percentile(0.99),
        "load CPU cores": (sum(own.cpu_times()[:2]) - used) / took,
        **{f"changes: {name}": count for name, count in sorted(changes.made.items())},
        "rotated files": changes.rotations,
    }
    failed = [{"failure": words, "times": times} for words, times in heard.failures.most_common(10)]
    return Report(
        "soak",
        rows=[summary, *failed, *watch.rows],
        bars=[
            Bar("failed valid calls", float(heard.failures.total()), 0, "at most"),
            Bar("checks", float(len(heard.seconds)), 1, "at least"),
        ],
        settings={"pods": PODS, "share of capacity": SHARE, "image bytes": _IMAGE_BYTES, "callers": _CALLERS},
        versions=installed(_VERSIONS),
    )


def main() -> int:
    """Run, print, write; the exit status is 0 where no call failed."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of soak.json")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as name:
        report = asyncio.run(soak(Path(name), arguments.minutes * 60))
    show(report)
    write(report, arguments.out)
    return 0 if all(bar.met for bar in report.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
