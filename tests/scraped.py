"""What a Prometheus server would know of gateways: their `/metrics`, scraped, and the queries that the keeper
asks of it. Prometheus itself cannot run here.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from prometheus_api import answering, success

Labels = frozenset[tuple[str, str]]
_QUERY = re.compile(r"sum(?: by \((\w+)\))?\s*\(increase\((\w+)\{(.*?)\}\[(\d+)s\]\)\)")
_MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')
_EVERY_SECONDS, _KEPT = 0.5, 1_000


class Scraped:
    """The counters of several targets, as they were at each scrape."""

    def __init__(self, targets: Sequence[Callable[[], str]]) -> None:
        """`targets`: each gives its exposition; one that raises OSError is down."""
        self._targets = targets
        self._scrapes: deque[tuple[float, Mapping[tuple[str, Labels], float]]] = deque(maxlen=_KEPT)

    async def run(self) -> None:
        """Scrape until cancelled."""
        while True:
            found: dict[tuple[str, Labels], float] = {}
            for number, target in enumerate(self._targets):
                try:
                    text = await asyncio.to_thread(target)
                except OSError:
                    continue
                for family in text_string_to_metric_families(text):
                    for sample in family.samples:
                        labels = frozenset({**sample.labels, "instance": str(number)}.items())
                        found[sample.name, labels] = sample.value
            self._scrapes.append((time.time(), found))
            await asyncio.sleep(_EVERY_SECONDS)

    async def answer(self, request: web.Request) -> web.Response:
        """Sums of increases, by a label or over all; what else is asked is a bad query."""
        asked = await request.post()
        query = _QUERY.fullmatch(str(asked["query"]).strip())
        if query is None:
            error = {"status": "error", "errorType": "bad_data", "error": "not known here"}
            return web.json_response(error, status=400)
        by, name, matchers, seconds = query.groups()
        at = float(str(asked["time"]))
        sums: dict[str, float] = {}
        for labels, grown in self._increases(name, matchers, at - float(seconds), at):
            key = labels.get(by, "") if by else ""
            sums[key] = sums.get(key, 0.0) + grown
        result: list[dict[str, Any]] = [
            {"metric": {by: key} if by else {}, "value": [at, f"{total}"]} for key, total in sums.items()
        ]
        return success("vector", result)

    def _increases(
        self, name: str, matchers: str, since: float, until: float
    ) -> Iterator[tuple[Mapping[str, str], float]]:
        """Of each series that fits, from its first sample of the time to its last; a series that is new has
        come from nothing.
        """
        inside = [found for at, found in self._scrapes if since <= at <= until]
        wanted = _MATCHER.findall(matchers)
        for series, value in inside[-1].items() if inside else ():
            labels = dict(series[1])
            if series[0] == name and all(
                re.fullmatch(text if how == "=~" else re.escape(text), labels.get(key, ""))
                for key, how, text in wanted
            ):
                yield labels, value - inside[0].get(series, 0.0)


@asynccontextmanager
async def scraping(targets: Sequence[Callable[[], str]]) -> AsyncIterator[str]:
    """A server that scrapes; its URL."""
    scraped = Scraped(targets)
    running = asyncio.create_task(scraped.run())
    try:
        async with answering(scraped.answer) as url:
            yield url
    finally:
        running.cancel()
