"""Asks a Prometheus server, and makes figures of what gateways count in it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from ostiary_operator.analysis.sequential import Moments
from ostiary_operator.cluster.kinds import Json

_SECONDS = 10.0
_MOST_POINTS = 1_000
# What is counted, the part of it that a label has, and labels of what is counted.
_LABELLED = {
    "flags": ("moderation_listings_total", "moderation_flags_total", ""),
    "flips": (
        "moderation_shadow_copies_total", "moderation_shadow_flips_total", ',outcome=~"agrees|differs"',
    ),
}  # fmt: skip


class Unreachable(Exception):  # noqa: N818  # says what is wrong
    """No answer that can be understood, and so nothing known; the message says why."""


@dataclass(frozen=True)
class Newest:
    """The newest sample of a series, and when it was taken (seconds since 1970)."""

    labels: Mapping[str, str]
    value: float
    at: float


class Source(Protocol):
    """Where measurements come from. Methods raise Unreachable."""

    async def numbers(self, query: str, since: float, until: float, every: float) -> Sequence[float]:
        """What a query has come to at times from `since` to `until`; NaN where it came to nothing."""
        ...

    async def moments(
        self, figure: str, version: str, since: float, until: float, arm: str = ""
    ) -> Moments | None:
        """Of a figure of a version; None where gateways do not count it. `arm`: of an A/B; empty: of all
        checks.
        """
        ...

    async def newest(self, labels: str, seconds: float, at: float) -> Sequence[Newest]:
        """Of each series that has these labels and a sample within so many seconds before `at`. Samples are
        as they were taken: not a number, negative or from a clock that is wrong.
        """
        ...

    @property
    def selector(self) -> str:
        """Labels that the gateways' series have."""
        ...


class Prometheus:
    """A server's HTTP API (v1). For one event loop."""

    def __init__(self, session: aiohttp.ClientSession, url: str, selector: str = "") -> None:
        """`url`: of the server. `selector`: labels of the gateways' series, like `namespace="shop"`."""
        self._session = session
        self._url = url.rstrip("/")
        self._selector = selector

    @property
    def selector(self) -> str:
        """See Source."""
        return self._selector

    async def newest(self, labels: str, seconds: float, at: float) -> Sequence[Newest]:
        """See Source. The samples themselves, since what a query comes to bears the query's time."""
        query = f"{{{labels}}}[{math.ceil(seconds)}s]"
        try:
            return [
                Newest(one["metric"], float(value), float(taken))
                for one in await self._at(query, at)
                for taken, value in one["values"][-1:]
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{query}: not an answer of Prometheus: {error}") from error

    async def numbers(self, query: str, since: float, until: float, every: float) -> Sequence[float]:
        """See Source. Asks for the whole time at once, so that whoever comes new to a run knows what was."""
        step = max(every, (until - since) / _MOST_POINTS)
        times = [since + step * index for index in range(1, int((until - since) / step) + 1)]
        if not times:
            return ()
        asked = {"query": query, "start": f"{times[0]:.3f}", "end": f"{times[-1]:.3f}", "step": f"{step:.3f}"}
        series = await self._ask("query_range", asked)
        if len(series) > 1:
            raise Unreachable(f"{query}: {len(series)} series where one number is needed; aggregate them")
        found = [math.nan] * len(times)
        try:
            for at, value in series[0]["values"] if series else ():
                index = round((float(at) - times[0]) / step)
                if 0 <= index < len(found):
                    found[index] = float(value)
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{query}: not an answer of Prometheus: {error}") from error
        return found

    async def moments(
        self, figure: str, version: str, since: float, until: float, arm: str = ""
    ) -> Moments | None:
        """See Source. From what gateways count as `moderation_*`."""
        window = f"[{max(1, math.ceil(until - since))}s]"
        of_arm = f'arm="{arm}"' if arm else ""
        which = ",".join(part for part in (f'version="{version}"', of_arm, self._selector) if part)
        if figure == "errors":
            return await self._errors(which, window, until)
        if figure == "latency":
            return await self._latency(which, window, until)
        return await self._labelled(figure, which, window, until)

    async def _errors(self, which: str, window: str, at: float) -> Moments:
        """A check that no pod could judge is held, or has what the route says for that."""
        query = f"sum by (verdict) (increase(moderation_checks_total{{{which}}}{window}))"
        by_verdict = {one["metric"].get("verdict", ""): _value(one) for one in await self._at(query, at)}
        wrong = round(by_verdict.get("HOLD", 0.0))
        return Moments(round(sum(by_verdict.values())), wrong, wrong)

    async def _labelled(self, figure: str, which: str, window: str, at: float) -> Moments | None:
        """Of the checks, or of their copies, of all categories or one: how many have a label's flag, or have
        it otherwise than the answer.
        """
        kind, _, rest = figure.partition("/")
        label, _, category = rest.partition("/")
        if kind not in _LABELLED or not label:
            return None
        whole, part, of = _LABELLED[kind]
        # JSON's escapes are PromQL's.
        there = f"{which},category={json.dumps(category, ensure_ascii=False)}" if category else which
        everything = f"sum(increase({whole}{{{there}{of}}}{window}))"
        flagged = f"sum(increase({part}{{{there},label={json.dumps(label)}}}{window}))"
        count, total = round(await self._number(everything, at)), round(await self._number(flagged, at))
        total = min(total, count)  # each is extrapolated to the ends of the window by itself
        return Moments(count, total, total)

    async def _latency(self, which: str, window: str, at: float) -> Moments:
        """The sum is exact; squares are by the ends of buckets, so the spread is never made too small."""
        name = "moderation_check_duration_seconds"
        buckets = await self._at(f"sum by (le) (increase({name}_bucket{{{which}}}{window}))", at)
        total = await self._number(f"sum(increase({name}_sum{{{which}}}{window}))", at)
        ends = sorted((float(one["metric"]["le"]), _value(one)) for one in buckets if "le" in one["metric"])
        squares, below, last = 0.0, 0.0, 0.0
        for end, cumulated in ends:
            last = end if math.isfinite(end) else 2.0 * last
            squares += (cumulated - below) * last * last
            below = cumulated
        return Moments(round(below), total, squares)

    async def _number(self, query: str, at: float) -> float:
        """What a sum comes to; 0 where there is nothing to add up."""
        found = await self._at(query, at)
        return _value(found[0]) if found else 0.0

    async def _at(self, query: str, at: float) -> Sequence[Json]:
        return await self._ask("query", {"query": query, "time": f"{at:.3f}"})

    async def _ask(self, what: str, asked: Mapping[str, str]) -> Sequence[Json]:
        url = f"{self._url}/api/v1/{what}"
        try:
            async with asyncio.timeout(_SECONDS), self._session.post(url, data=asked) as response:
                answer = await response.json(content_type=None)
            if answer["status"] != "success":
                raise Unreachable(f"{asked['query']}: {answer.get('errorType')}: {answer.get('error')}")
            found = answer["data"]["result"]
            if answer["data"]["resultType"] == "scalar":
                return [{"metric": {}, "value": found}]
            return list(found)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{url}: no answer: {error or type(error).__name__}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"{url}: not an answer of Prometheus: {error}") from error


def _value(one: Json) -> float:
    """Of a sample; Unreachable where it is no finite number."""
    try:
        value = float(one["value"][1])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise Unreachable(f"not a sample of Prometheus: {error}") from error
    if not math.isfinite(value):
        raise Unreachable("a sample is no finite number")
    return value
