"""The keeper killed, replaced, and lied to: what must hold holds, and it arrives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.keeper.stage import Stage, stage
from ostiary_operator.cluster import kinds
from ostiary_operator.sandbox.faults import Plan

_BAD_DAY = {
    "conflict": 0.05, "throttle": 0.02, "error": 0.05, "lost_answer": 0.05, "drop_event": 0.03,
    "duplicate_event": 0.1, "break_watch": 0.05, "gone": 0.05,
}  # fmt: skip


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Stage]:
    """Two versions, of which v1 is to serve."""
    async with stage(folder) as made:
        for name in ("v1", "v2"):
            await made.version(name)
        await made.deployment("v1")
        yield made


def has_all(cluster: Stage, version: str) -> bool:
    """Whether a version is the stable one, with all traffic."""
    status = cluster.status()
    return status.get("stable") == version and status["phase"] == "Healthy"


class Watchman:
    """Looks all the time whether anybody is hurt."""

    def __init__(self, cluster: Stage) -> None:
        self._cluster = cluster
        self.routes: list[dict[str, int]] = []
        self.wrong: list[str] = []

    async def run(self) -> None:
        """Until cancelled."""
        epoch = 0
        while True:
            route = self._cluster.find(kinds.TRAFFIC_ROUTES, "qwen")
            weights = self._cluster.weights()
            if route is not None and weights not in self.routes[-1:]:
                now = int(route["spec"]["epoch"])
                if now <= epoch:
                    self.wrong.append(f"epoch {now} after {epoch}")
                if sum(weights.values()) != 10_000:
                    self.wrong.append(f"{weights}")
                epoch = now
                self.routes.append(weights)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watched(cluster: Stage) -> AsyncIterator[Watchman]:
    """Nobody is hurt meanwhile: no check without a pod, no route that makes no sense."""
    watchman = Watchman(cluster)
    task = asyncio.create_task(watchman.run())
    async with cluster.gateway(lag=0.02) as one, cluster.gateway("gw-2", lag=0.15) as two:
        yield watchman
        assert (one.failed, two.failed) == (0, 0)
    task.cancel()
    assert watchman.wrong == []


@pytest.mark.parametrize("seed", range(3))
async def test_a_keeper_killed_at_any_moment_is_gone_on_from(tmp_path: Path, seed: int) -> None:
    """Killed again and again in the middle of a roll, wherever it was; each successor goes on from there."""
    rng = random.Random(seed)
    async with serving(tmp_path) as cluster, watched(cluster) as watchman:
        async with cluster.keeper():
            await cluster.until(lambda: has_all(cluster, "v1"))
        await cluster.deployment("v2")
        for _ in range(5):
            async with cluster.keeper() as keeper:
                await asyncio.sleep(rng.uniform(0.0, 0.4))
                await keeper.kill()
                if has_all(cluster, "v2"):
                    break
        async with cluster.keeper():
            await cluster.until(lambda: has_all(cluster, "v2"), 30)
        shares = [weights.get("v2", 0) for weights in watchman.routes]
        assert shares == [0, 1_000, 5_000, 10_000]


async def test_of_two_keepers_one_acts(tmp_path: Path) -> None:
    """The second takes over when the first is lost, and not before."""
    async with serving(tmp_path) as cluster, watched(cluster), cluster.keeper(identity="first") as first:
        await cluster.until(lambda: has_all(cluster, "v1"))
        async with cluster.keeper(identity="second"):
            await asyncio.sleep(0.5)
            assert holder(cluster) == "first"
            await cluster.deployment("v2")
            await cluster.until(lambda: cluster.weights().get("v2"))
            await first.kill()
            await cluster.until(lambda: has_all(cluster, "v2"))
            assert holder(cluster) == "second"


def holder(cluster: Stage) -> str:
    """Who acts."""
    lease = cluster.find(kinds.LEASES, "ostiary-keeper")
    return str(lease["spec"]["holderIdentity"]) if lease else ""


@pytest.mark.parametrize("seed", range(2))
async def test_a_bad_day_of_the_api_server_is_borne(tmp_path: Path, seed: int) -> None:
    """Conflicts, refusals, lost answers, broken watches: a roll and a rollback arrive all the same."""
    async with serving(tmp_path) as cluster, watched(cluster), cluster.keeper(resync=1.0):
        await cluster.until(lambda: has_all(cluster, "v1"))
        faults = cluster.cluster.faults
        faults.seed = seed
        faults.set(**_BAD_DAY)
        await cluster.deployment("v2")
        await cluster.until(lambda: has_all(cluster, "v2"), 40)
        await cluster.order("back")
        await cluster.until(lambda: cluster.weights() == {"v1": 10_000}, 20)
        assert sum(faults.counts.values()) > 10
        faults.plan = Plan()


async def test_events_that_never_arrive_are_made_up_for(tmp_path: Path) -> None:
    """A watch that loses events without a word, as no server may: lists say what is there."""
    async with serving(tmp_path) as cluster, watched(cluster), cluster.keeper(resync=0.5):
        await cluster.until(lambda: has_all(cluster, "v1"))
        cluster.cluster.faults.set(silent_drop=0.5)
        await cluster.deployment("v2")
        await cluster.until(lambda: has_all(cluster, "v2"), 40)
        cluster.cluster.faults.plan = Plan()
