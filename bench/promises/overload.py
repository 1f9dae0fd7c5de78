"""Promise 7: overload is graceful."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.engine.statistics import percentile
from bench.gateway.load import Outcome
from bench.promises.contract import Outcome as Shown
from bench.promises.contract import Promise
from bench.promises.crowd import FIFTY, SLOW, Crowded, crowded

FULL_SECONDS = 600
GOODPUT = 0.9
SLOWER = 2.0
REJECT_SECONDS = 0.05
RECOVERY_SECONDS = 10.0
MINUTE = 60.0


@dataclass(frozen=True)
class Overload:
    """What was measured. Seconds throughout; rates are checks a second."""

    unloaded_p99: float
    peak: float
    goodput: float
    accepted_p99: float
    reject_p99: float
    recovery: float
    strange: dict[str, int]
    """Calls that were neither answered nor refused, by what they came to."""

    @property
    def met(self) -> bool:
        """Whether every bar is reached."""
        return (
            not self.strange
            and self.goodput >= GOODPUT * self.peak
            and self.accepted_p99 <= SLOWER * self.unloaded_p99
            and self.reject_p99 <= REJECT_SECONDS
            and self.recovery <= RECOVERY_SECONDS
        )

    def words(self, crowd: float, seconds: float) -> str:
        """Beside the figure, all others."""
        return (
            f"of the peak, {self.peak:.0f} checks a second, at {crowd:.0f} calls a second "
            f"for {seconds:.0f} s; "
            f"accepted p99 {self.accepted_p99 / self.unloaded_p99:.2f}× unloaded (at most {SLOWER:g}), "
            f"reject p99 {self.reject_p99 * 1000:.0f} ms (at most {REJECT_SECONDS * 1000:.0f}), "
            f"recovery {self.recovery:.1f} s (at most {RECOVERY_SECONDS:g})"
            + (f"; strange: {self.strange}" if self.strange else "")
        )


def recovery_of(after: Outcome, bearable: float) -> float:
    """Seconds until callers noticed nothing any more: no call that was due later failed or took too long."""
    noticed = [due for due, seconds, result in after.calls if result != "ok" or seconds > bearable]
    return max(noticed, default=0.0)


def goodput_of(over: Outcome, settled: float) -> float:
    """Checks a second that were answered within the overload, once it had `settled`."""
    ended = [due + seconds for due, seconds, result in over.calls if result == "ok"]
    return sum(settled <= end < over.window for end in ended) / (over.window - settled)


def measured(crowd: Crowded, seconds: float) -> Overload:
    """A lone caller, as many as the pod carries, ten times as many, and half as many afterwards."""
    short, settled = min(10.0, max(3.0, seconds / 4)), min(5.0, seconds / 4)
    alone = crowd.closed(1, short, warm=0.6)
    peak = crowd.closed(crowd.pod.slots, short, warm=2.0)
    over = crowd.opened(crowd.pod.crowd, seconds, seed=7)
    after = crowd.opened(crowd.pod.capacity / 2, min(seconds, 2 * RECOVERY_SECONDS), seed=8)
    unloaded = percentile(alone.latencies, 0.99) or 0.0
    strange = {code: count for code, count in over.failed.items() if code != "RESOURCE_EXHAUSTED"}
    return Overload(
        unloaded_p99=unloaded,
        peak=len(peak.latencies) / peak.window,
        goodput=goodput_of(over, settled),
        accepted_p99=percentile(over.after(settled).latencies, 0.99) or float("inf"),
        reject_p99=percentile(over.after(settled).refused, 0.99) or 0.0,
        recovery=recovery_of(after, SLOWER * unloaded),
        strange=strange,
    )


def run(seconds: float) -> Shown:
    """Ten minutes of overload where there is time; else as much as there is, on a slower pod."""
    long = min(float(FULL_SECONDS), max(4.0, seconds / 2))
    pod = FIFTY if seconds >= MINUTE else SLOW
    with tempfile.TemporaryDirectory() as name, crowded(Path(name), pod) as crowd:
        found = measured(crowd, long)
    share = round(found.goodput / found.peak, 3) if found.peak else 0.0
    return Shown(round(long), FULL_SECONDS, share, GOODPUT, found.words(pod.crowd, long), found.met)


PROMISE = Promise(7, "Overload is graceful", run)
