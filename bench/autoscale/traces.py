"""What arrives, second by second: made-up traces from seeds, and public ones from their CSV files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Shape = Callable[[np.random.Generator, int], Floats]

MEAN = 110.0
"""Checks a second, about: five to six pods of `mini` in batches, as many as it takes for steps of one to
matter.
"""


def constant(_: np.random.Generator, seconds: int) -> Floats:
    """The same all the time, but for chance."""
    return np.full(seconds, MEAN)


def diurnal(rng: np.random.Generator, seconds: int) -> Floats:
    """A day, 1 to 5, in the length of the trace: cold starts weigh more than on a real day."""
    phase = rng.uniform(0.0, 2.0 * np.pi)
    turn = 2.0 * np.pi * np.arange(seconds) / seconds
    return MEAN * (1.0 + 0.67 * np.sin(turn + phase))


def flash(rng: np.random.Generator, seconds: int) -> Floats:
    """Four times as much from one moment to the next, for five minutes, and a tail."""
    start = int(rng.uniform(0.3, 0.6) * seconds)
    after = np.arange(seconds) - start
    decay = np.exp(-np.maximum(after - 300, 0) / 120.0)
    return np.asarray(
        0.7 * MEAN * (1.0 + np.where(after >= 0, 3.0 * decay * np.minimum(after / 10.0, 1.0), 0.0))
    )


def ramp(rng: np.random.Generator, seconds: int) -> Floats:
    """From half to twice within a third of the time, then as suddenly back as a campaign ends."""
    start = int(rng.uniform(0.2, 0.35) * seconds)
    rise = np.clip((np.arange(seconds) - start) / (seconds / 3.0), 0.0, 1.0)
    end = start + int(seconds * 0.5)
    rise[end:] = 0.0
    return MEAN * (0.5 + 1.5 * rise)


def bursty(rng: np.random.Generator, seconds: int) -> Floats:
    """Every five seconds another rate, gamma-distributed: deviation half of the mean."""
    blocks = rng.gamma(4.0, MEAN / 4.0, size=seconds // 5 + 1)
    return np.repeat(blocks, 5)[:seconds]


def batches(rng: np.random.Generator, seconds: int) -> Floats:
    """Merchants drop their catalogues: now and then 6,000 checks within 40 seconds, on top of little."""
    rate = np.full(seconds, 0.5 * MEAN)
    at = 0.0
    while True:
        at += rng.exponential(300.0)
        if at >= seconds:
            return rate
        rate[int(at) : int(at) + 40] += 150.0


SHAPES: dict[str, Shape] = {
    "constant": constant,
    "diurnal": diurnal,
    "flash crowd": flash,
    "ramp": ramp,
    "bursty": bursty,
    "merchant batches": batches,
}


def made(name: str, seed: int, seconds: int) -> Floats:
    """Arrivals of a made-up trace in each second."""
    rng = np.random.default_rng([seed, *name.encode()])
    return rng.poisson(SHAPES[name](rng, seconds)).astype(np.float64)


class BadTrace(ValueError):  # noqa: N818 # it says what the file is
    """A file that is no trace; tells file and line."""


def azure_llm(path: Path) -> Floats:
    """Arrivals a second of an Azure LLM inference trace: `TIMESTAMP,ContextTokens,GeneratedTokens`."""
    return _binned(_column(path, "TIMESTAMP", _clock))


def burst_gpt(path: Path) -> Floats:
    """Arrivals a second of BurstGPT: `Timestamp` in seconds, among other columns."""
    return _binned(_column(path, "Timestamp", float))


def scaled(arrivals: Floats, mean: float, seed: int) -> Floats:
    """The same shape at another mean rate, drawn anew."""
    if not arrivals.size or arrivals.mean() <= 0.0:
        raise BadTrace("a trace without arrivals has no shape")
    rng = np.random.default_rng(seed)
    drawn: Floats = rng.poisson(arrivals * (mean / arrivals.mean())).astype(np.float64)
    return drawn


def _column(path: Path, name: str, read: Callable[[str], float]) -> list[float]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if name not in (reader.fieldnames or ()):
            raise BadTrace(f"{path}:1: no column {name}; it has {', '.join(reader.fieldnames or ['none'])}")
        found = []
        for row in reader:
            try:
                found.append(read(row[name]))
            except (TypeError, ValueError) as error:
                raise BadTrace(f"{path}:{reader.line_num}: {name}: {error}") from error
    if not found:
        raise BadTrace(f"{path}: no rows")
    return found


def _clock(text: str) -> float:
    # Seven decimals, where the standard library takes six.
    whole, _, fraction = text.partition(".")
    digits = fraction.partition("+")[0].rstrip("Z")
    return datetime.fromisoformat(whole).timestamp() + (float(f"0.{digits}") if digits else 0.0)


def _binned(times: Iterable[float]) -> Floats:
    at = np.asarray(list(times))
    if not np.isfinite(at).all():
        raise BadTrace("a time is not a number")
    seconds = np.floor(at - at.min()).astype(np.int64)
    return np.bincount(seconds).astype(np.float64)
