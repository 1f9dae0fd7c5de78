"""One cell on one running server: load it, watch it, and keep what came of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.engine.clients import Client
from bench.engine.images import pixels_of
from bench.engine.load import Answered, LoadRun, Sample, closed_loop, open_loop, poisson
from bench.engine.plan import SLO_SECONDS, Cell, Plan
from bench.engine.process import ServerProcess
from bench.engine.statistics import steady_rate

_GIVE_UP = 3.0  # times the SLO
_ENOUGH = 20  # answers, so that a rate is over several batches


@dataclass(frozen=True)
class CellResult:
    """What one cell measured.

    `rate`: checks a second. `good`: those within the SLO, a second. `shed`, `late`, `failed`: shares of what
    was offered. `latencies`: seconds of the measured checks; a late one's are those it was waited for.
    `pixels`: of the images of these checks, 0 for a late one.
    `cpu_per_check`: seconds of CPU, of the server and all below it.
    """

    cell: str
    rate: float | None
    good: float | None
    offered: int
    shed: float
    late: float
    failed: float
    latencies: list[float] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    cpu_per_check: float | None = None
    batch: float | None = None
    trouble: str = ""

    def document(self) -> dict[str, Any]:
        """As it is kept on disk."""
        return {**asdict(self), "latencies": [round(latency, 4) for latency in self.latencies]}


async def measure(
    cell: Cell,
    client: Client,
    server: ServerProcess,
    images: Iterator[bytes],
    plan: Plan,
    *,
    capacity: float,
    seed: int,
) -> tuple[CellResult, bool]:
    """Run one cell; and whether the server is idle again.

    `capacity`: what the arm was seen to do, in checks a second; open loops are shares of it.
    """
    before = server.usage().cpu

    async def send() -> Answered:
        image = next(images)
        reply = await client.ask(image, cell.description)
        return Answered(reply.outcome, reply.batch, reply.detail, pixels_of(image))

    if cell.kind == "closed":
        run = await closed_loop(
            send,
            cell.clients,
            cell.seconds,
            run_up=plan.run_up,
            drain=plan.drain,
            clock=time.monotonic,
            enough=_ENOUGH,
        )
    else:
        due = poisson(cell.load * capacity, cell.seconds, seed)
        patience = _GIVE_UP * SLO_SECONDS[cell.description]
        run = await open_loop(
            send, due, cell.seconds, patience=patience, clock=time.monotonic, sleep=asyncio.sleep
        )
    used = server.usage().cpu - before
    return summarise(cell, run, used), run.abandoned == 0


def summarise(cell: Cell, run: LoadRun, cpu_seconds: float) -> CellResult:
    """The figures of one run."""
    samples = run.measured if cell.kind == "closed" else run.samples
    answered = [sample for sample in samples if sample.answer.outcome == "answered"]
    outcomes = Counter(sample.answer.outcome for sample in samples)
    everything = sum(sample.answer.outcome == "answered" for sample in run.samples)
    timed = [sample for sample in samples if sample.answer.outcome in ("answered", "late")]
    offered = len(samples)
    good = sum(sample.latency <= SLO_SECONDS[cell.description] for sample in answered)
    batches = [sample.answer.batch for sample in answered if sample.answer.batch]
    return CellResult(
        cell=cell.name,
        rate=_rate(cell, run, answered),
        good=good / (run.end - run.start if cell.kind == "closed" else cell.seconds) if samples else None,
        offered=offered,
        shed=_share(outcomes["shed"], offered),
        late=_share(outcomes["late"], offered),
        failed=_share(outcomes["failed"], offered),
        latencies=[sample.latency for sample in timed],
        pixels=[sample.answer.pixels for sample in timed],
        cpu_per_check=cpu_seconds / everything if everything else None,
        batch=sum(batches) / len(batches) if batches else None,
        trouble=next((sample.answer.detail for sample in samples if sample.answer.outcome == "failed"), ""),
    )


def _rate(cell: Cell, run: LoadRun, answered: Sequence[Sample]) -> float | None:
    if cell.kind == "closed":
        return steady_rate([sample.done for sample in answered], run.start, run.end)
    return len(answered) / (run.end - run.start) if answered else None


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
