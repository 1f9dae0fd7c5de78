"""Candidates judged by what a Prometheus server says, and by what it does not."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bench.keeper.stage import Stage, stage
from ostiary_operator.analysis.sequential import Moments
from ostiary_operator.cluster import kinds
from ostiary_operator.cluster.prometheus import Prometheus, Unreachable
from prometheus_api import answering, success

Json = dict[str, Any]


class Server:
    """The HTTP API of a Prometheus server, with one number, and checks by version and verdict, or counts that
    belong to words of a query.
    """

    def __init__(self) -> None:
        self.number: float | None = 1.0
        self.counts: dict[tuple[str, ...], float] = {}
        self.checks: dict[str, dict[str, float]] = {}
        self.broken = False
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        """As Prometheus does."""
        if self.broken:
            return web.Response(status=503, text="overloaded")
        asked = await request.post()
        query = str(asked["query"])
        if request.path.endswith("query_range"):
            start, end, step = (float(str(asked[name])) for name in ("start", "end", "step"))
            times = [start + index * step for index in range(int((end - start) / step + 1e-6) + 1)]
            values = [] if self.number is None else [[at, f"{self.number}"] for at in times]
            return success("matrix", [{"metric": {}, "values": values}] if values else [])
        for words, count in self.counts.items():
            if all(word in query for word in words):
                value = [float(str(asked["time"])), f"{count}"]
                return success("vector", [{"metric": {}, "value": value}])
        version = query.partition('version="')[2].partition('"')[0]
        found = [
            {"metric": {"verdict": verdict}, "value": [float(str(asked["time"])), f"{number}"]}
            for verdict, number in self.checks.get(version, {}).items()
        ]
        return success("vector", found)


@asynccontextmanager
async def prometheus() -> AsyncIterator[Server]:
    """A running server."""
    server = Server()
    async with answering(server.answer) as server.url:
        yield server


METRICS: Json = {
    "errors": {"name": "errors", "compare": {"figure": "errors", "margin": 0.02}},
    "up": {"name": "up", "prometheus": {"query": "up", "atLeast": 1, "intervalSeconds": 0.5}},
    "flags": {"name": "flags", "compare": {"figure": "flags/nudity", "margin": 0.02}},
    "flips": {"name": "flips", "compare": {"figure": "flips/nudity", "margin": 0.02}},
}


@asynccontextmanager
async def judged(folder: Path, server: Server, *metrics: str) -> AsyncIterator[Stage]:
    """Version v2 has a tenth and is judged for two seconds."""
    async with stage(folder) as cluster:
        for name in ("v1", "v2"):
            await cluster.version(name)
        template = {"minSamples": 100, "seconds": 2.0, "metrics": [METRICS[name] for name in metrics]}
        await cluster.put(kinds.ANALYSIS_TEMPLATES, {"metadata": {"name": "canary"}, "spec": template})
        await cluster.deployment("v1")
        async with cluster.gateway(), cluster.keeper(prometheus=server.url):
            await cluster.until(lambda: cluster.status().get("phase") == "Healthy")
            steps = [{"setWeight": 1000}, {"analysis": {"template": "canary"}}]
            await cluster.deployment("v2", strategy={"canary": {"steps": steps}})
            yield cluster


async def test_a_good_version_is_promoted(tmp_path: Path) -> None:
    """As few errors as before, and the query within its bounds."""
    async with prometheus() as server:
        for version in ("v1", "v2"):
            server.checks[version] = {"ALLOW": 50_000.0, "HOLD": 50.0}
        async with judged(tmp_path, server, "errors", "up") as cluster:
            await cluster.until(lambda: cluster.status().get("stable") == "v2")


async def test_an_erring_version_is_taken_back(tmp_path: Path) -> None:
    """More checks held than are borne: it is rejected, and why is told."""
    async with prometheus() as server:
        server.checks = {
            "v1": {"ALLOW": 50_000.0, "HOLD": 50.0},
            "v2": {"ALLOW": 4_000.0, "HOLD": 1_000.0},
        }
        async with judged(tmp_path, server, "errors", "up") as cluster:
            await cluster.until(lambda: cluster.status().get("rejected") == "v2")
            await cluster.until(lambda: cluster.weights() == {"v1": 10_000})
            assert "RolloutAborted" in cluster.events()


_SILENCES = {"a server that is overloaded": True, "a query without an answer": False}


@pytest.mark.parametrize("broken", _SILENCES.values(), ids=_SILENCES)
async def test_silence_promotes_nothing(tmp_path: Path, broken: bool) -> None:
    """Where nothing could be measured the candidate keeps its share, and goes neither on nor back."""
    async with prometheus() as server:
        server.broken, server.number = broken, None
        async with judged(tmp_path, server, "up") as cluster:
            await cluster.until(lambda: cluster.all(kinds.ANALYSIS_RUNS))
            run = cluster.all(kinds.ANALYSIS_RUNS)[0]["metadata"]["name"]

            def said() -> str:
                found = cluster.find(kinds.ANALYSIS_RUNS, run) or {}
                return str((found.get("status") or {}).get("message", ""))

            words = "nothing could be measured" if broken else "answers to"
            await cluster.until(lambda: words in said())
            assert cluster.status()["stable"] == "v1"
            assert cluster.weights() == {"v1": 9_000, "v2": 1_000}


def listings(version: str, judged: float, flagged: float) -> dict[tuple[str, ...], float]:
    """What a version's gateways have counted of all listings."""
    which = f'version="{version}"'
    return {("moderation_listings_total", which): judged, ("moderation_flags_total", which): flagged}


async def test_a_version_that_flags_more_is_taken_back(tmp_path: Path) -> None:
    """By the share of checks with a label's flag, whatever became of errors and times."""
    async with prometheus() as server:
        server.counts = listings("v1", 50_000, 500) | listings("v2", 5_000, 900)
        async with judged(tmp_path, server, "flags", "up") as cluster:
            await cluster.until(lambda: cluster.status().get("rejected") == "v2")


@pytest.mark.parametrize(
    ("flips", "field"), [(10.0, "stable"), (900.0, "rejected")], ids=["as the answers", "otherwise"]
)
async def test_copies_are_held_against_the_answers(tmp_path: Path, flips: float, field: str) -> None:
    """A candidate that judges the same checks alike goes on; one that does not is taken back."""
    async with prometheus() as server:
        which = 'version="v2"'
        server.counts = {
            ("moderation_shadow_copies_total", which, 'outcome=~"agrees|differs"'): 10_000.0,
            ("moderation_shadow_flips_total", which, 'label="nudity"'): flips,
        }
        async with judged(tmp_path, server, "flips", "up") as cluster:
            await cluster.until(lambda: cluster.status().get(field) == "v2")


FIGURES = {
    "flags/nudity": (("moderation_listings_total", "moderation_flags_total"), 100, 7),
    'flags/nudity/the "new"': (
        (r'moderation_listings_total{version="v",category="the \"new\""}', r'category="the \"new\"",label='),
        100, 7,
    ),
    "flips/nudity": (("moderation_shadow_copies_total", "moderation_shadow_flips_total"), 100, 7),
    "flips/nudity beyond all copies": (
        ("moderation_shadow_copies_total", "moderation_shadow_flips_total"), 100, 101,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("figure", "told"), FIGURES.items(), ids=FIGURES)
async def test_figures_of_labels(figure: str, told: tuple[tuple[str, str], int, int]) -> None:
    """Shares of 0 or 1: how many there are, how many have the flag; never more than there are."""
    (whole, part), count, flagged = told
    async with prometheus() as server, aiohttp.ClientSession() as session:
        server.counts = {(whole,): float(count), (part,): float(flagged)}
        found = await Prometheus(session, server.url).moments(figure.partition(" beyond")[0], "v", 0.0, 60.0)
        assert found == Moments(count, min(count, flagged), min(count, flagged))


async def test_an_arm_is_asked_for_alone() -> None:
    """What its callers' checks came to, and not what others' of the same version did."""
    async with prometheus() as server, aiohttp.ClientSession() as session:
        server.counts = {
            ("moderation_listings_total", 'version="v",arm="control"'): 40.0,
            ("moderation_flags_total", 'version="v",arm="control"'): 4.0,
        }
        asked = Prometheus(session, server.url)
        assert await asked.moments("flags/nudity", "v", 0.0, 60.0, "control") == Moments(40, 4, 4)
        assert await asked.moments("flags/nudity", "v", 0.0, 60.0) == Moments(0, 0, 0)


async def test_what_gateways_do_not_count_is_inconclusive(tmp_path: Path) -> None:
    """A figure that nobody counts leaves it to people."""
    async with prometheus() as server, judged(tmp_path, server, "flags") as cluster:
        await cluster.until(lambda: cluster.condition("Paused").get("reason") == "Inconclusive")
        assert cluster.weights() == {"v1": 9_000, "v2": 1_000}


async def test_a_template_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    """The rollout waits for people, who are told which one is missing."""
    async with prometheus() as server, judged(tmp_path, server, "up") as cluster:
        await cluster.deployment(
            "v2", strategy={"canary": {"steps": [{"setWeight": 1000}, {"analysis": {"template": "gone"}}]}}
        )
        await cluster.until(
            lambda: "no AnalysisTemplate gone" in cluster.condition("Paused").get("message", "")
        )


async def test_numbers_are_where_they_were_asked_for() -> None:
    """Gaps are NaN, several series are refused, and so is an answer that is none."""
    async with prometheus() as server, aiohttp.ClientSession() as session:
        asked = Prometheus(session, server.url)
        assert list(await asked.numbers("up", 0.0, 3.0, 1.0)) == [1.0, 1.0, 1.0]
        server.number = None
        assert all(math.isnan(number) for number in await asked.numbers("up", 0.0, 3.0, 1.0))
        server.broken = True
        with pytest.raises(Unreachable, match="not an answer"):
            await asked.numbers("up", 0.0, 3.0, 1.0)
