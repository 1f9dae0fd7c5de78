"""Measures what a machine does with a bundle: how long it takes to load, how fast it answers, what it
needs.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

from ostiary_moderation.bundle import Batching, Bundle, BundleError, CapacityProfile, LoadPoint
from ostiary_moderation.engine import Engine, LookRequest
from ostiary_moderation.engines import import_libraries, load_engine
from ostiary_moderation.views import ImageViews, make_views

CONCURRENCY = (1, 8, 32)
# From careful to greedy. Rows decoded side by side, and tokens in one forward pass.
LADDER = tuple(Batching(max_sequences=2**n, prefill_tokens=512 * 2**n) for n in range(1, 8))
_GAIN = 1.03  # a larger batch must be worth its memory
_PACKAGES = ("torch", "transformers", "numpy")
Report = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """What is asked of a machine. `seconds`: of each measurement. `p95_ms`: of a check with a description at
    the highest concurrency; `memory_mb`: of the process; None: whatever it takes.
    """

    seconds: float = 10.0
    threads: int = 1
    p95_ms: float | None = None
    memory_mb: float | None = None


async def profile(bundle: Bundle, limits: Limits, report: Report) -> CapacityProfile:
    """The profile of a bundle with its own batching, at each concurrency, without and with descriptions."""
    started = time.perf_counter()
    import_libraries(bundle)
    imported = time.perf_counter()
    Bundle.load(bundle.folder)  # measuring the files is a part of loading
    engine = await asyncio.to_thread(load_engine, bundle, limits.threads)
    loaded = time.perf_counter()
    try:
        views = _pictures(engine)
        await _look(engine, views[0], describe=True)  # what is set up on first use
        points = []
        for describe in (False, True) if bundle.manifest.description else (False,):
            for concurrency in CONCURRENCY:
                points.append(await measure(engine, views, concurrency, describe, limits.seconds))
                report(_words(points[-1]))
    finally:
        await engine.close()
    return CapacityProfile(
        machine=_machine(),
        versions={"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        measured=datetime.datetime.now(datetime.UTC).date().isoformat(),
        threads=limits.threads,
        pixels=(views[0].first.shape[0], views[0].first.shape[1]),
        import_seconds=round(imported - started, 2),
        load_seconds=round(loaded - imported, 2),
        rss_mb=round(_rss_mb(), 1),
        gpu_mb=round(_gpu_mb(), 1),
        points=tuple(points),
    )


async def best_batching(bundle: Bundle, limits: Limits, report: Report) -> Batching:
    """The largest batching of LADDER that still pays and that keeps within the limits.

    Climbs until a step runs out of memory, breaks a limit, or brings less than three per cent. Steps too
    small for the bundle's own prompts are passed over; the first that is not is taken in any case. Raises
    BundleError where there is none.
    """
    best, speed = None, 0.0
    refusal = BundleError(f"{bundle.folder}: no batching to try")
    for batching in LADDER:
        try:
            point, fits = await _try(bundle, batching, limits)
        except BundleError as error:
            refusal = error
            continue
        report(f"{batching.max_sequences} rows, {batching.prefill_tokens} tokens: {_words(point)}")
        if best is None:
            best = batching
        if not fits or point.checks_per_second < speed * _GAIN:
            break
        best, speed = batching, point.checks_per_second
    if best is None:
        raise refusal
    return best


async def _try(bundle: Bundle, batching: Batching, limits: Limits) -> tuple[LoadPoint, bool]:
    """What a batching does at the highest concurrency, and whether it keeps within the limits."""
    manifest = bundle.manifest.model_copy(update={"batching": batching})
    engine = await asyncio.to_thread(load_engine, replace(bundle, manifest=manifest), limits.threads)
    try:
        describe = manifest.description is not None
        views = _pictures(engine)
        await _look(engine, views[0], describe)
        point = await measure(engine, views, CONCURRENCY[-1], describe, limits.seconds)
        split = engine.load().memory_splits > 0
    finally:
        await engine.close()
    slow = limits.p95_ms is not None and point.p95_ms > limits.p95_ms
    large = limits.memory_mb is not None and _rss_mb() > limits.memory_mb
    return point, not (split or slow or large)


async def measure(
    engine: Engine, views: Sequence[ImageViews], concurrency: int, describe: bool, seconds: float
) -> LoadPoint:
    """Keeps `concurrency` checks in the engine's hands for about so many seconds, and times each."""
    took: list[float] = []
    turns = _turns(views, time.perf_counter() + seconds, concurrency)
    started = time.perf_counter()

    async def client() -> None:
        for picture in turns:
            before = time.perf_counter()
            await _look(engine, picture, describe)
            took.append(time.perf_counter() - before)

    await asyncio.gather(*(client() for _ in range(concurrency)))
    elapsed = time.perf_counter() - started
    p50, p95 = (float(value) for value in np.percentile(took, [50, 95]) * 1000.0)
    return LoadPoint(
        concurrency=concurrency,
        describe=describe,
        checks_per_second=round(len(took) / elapsed, 2),
        p50_ms=round(p50, 1),
        p95_ms=round(p95, 1),
    )


def _turns(views: Sequence[ImageViews], until: float, least: int) -> Iterator[ImageViews]:
    """Pictures in turn until the time is up, and at least so many."""
    count = 0
    while count < least or time.perf_counter() < until:
        yield views[count % len(views)]
        count += 1


async def _look(engine: Engine, picture: ImageViews, describe: bool) -> None:
    await engine.look(LookRequest([picture], description=describe, describe_rejected=True))


def _pictures(engine: Engine) -> list[ImageViews]:
    """Eight pictures of a phone's shape. What is on them does not change how long they take."""
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (533, 400, 3), dtype=np.uint8) for _ in range(8)]
    return [make_views(picture, engine.view_spec) for picture in pixels]


def _words(point: LoadPoint) -> str:
    kind = "with description" if point.describe else "flags and attributes"
    return (
        f"{point.concurrency} at once, {kind}: {point.checks_per_second:g} checks/s, "
        f"p50 {point.p50_ms:g} ms, p95 {point.p95_ms:g} ms"
    )


def _machine() -> str:
    cores = f"{platform.machine()}, {os.cpu_count()} cores"
    torch = sys.modules["torch"]
    return f"{torch.cuda.get_device_name()}; {cores}" if torch.cuda.is_available() else cores


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0  # Linux counts in 2^10 bytes


def _gpu_mb() -> float:
    torch = sys.modules["torch"]
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
