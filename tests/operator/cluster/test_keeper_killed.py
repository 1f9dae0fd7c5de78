"""Keepers as processes, killed one after the other in the middle of a roll."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.keeper.stage import Stage, stage
from ostiary_operator.cluster import kinds

_KEEPER = """
import asyncio, sys
from pathlib import Path
from bench.keeper.stage import QUICK, TEMPLATE, quick_watches
from ostiary_operator.cluster.running import KeeperSettings, keep

chosen = KeeperSettings(TEMPLATE, kubeconfig=Path(sys.argv[1]), identity=sys.argv[2], leader=QUICK)
asyncio.run(keep(chosen, asyncio.Event(), watching=quick_watches()))
"""
_STEPS = [
    step
    for weight in (500, 1_000, 2_500, 5_000, 7_500)
    for step in ({"setWeight": weight}, {"pauseSeconds": 4.0})
]
_SHARES = [0, 500, 1_000, 2_500, 5_000, 7_500, 10_000]
_KILLS = 8


class Keepers:
    """One that acts and one that waits, each a process; whoever is killed is replaced."""

    def __init__(self, cluster: Stage) -> None:
        self._cluster = cluster
        self._names: Iterator[str] = (f"keeper-{number}" for number in itertools.count())
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self) -> None:
        """One more."""
        name = next(self._names)
        config = self._cluster.cluster.settings.folder / "kubeconfig"
        self._running[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _KEEPER, str(config), name, stderr=asyncio.subprocess.DEVNULL
        )

    def acting(self) -> str | None:
        """The living one that holds the Lease."""
        lease = self._cluster.find(kinds.LEASES, "ostiary-keeper")
        holder = str(lease["spec"]["holderIdentity"]) if lease else ""
        return holder if holder in self._running else None

    async def kill(self, name: str) -> None:
        """SIGKILL, wherever it is."""
        process = self._running.pop(name)
        process.kill()
        await process.wait()

    async def close(self) -> None:
        """Kills all."""
        for name in list(self._running):
            await self.kill(name)


@asynccontextmanager
async def rolling(folder: Path) -> AsyncIterator[tuple[Stage, Keepers]]:
    """Version v1 serves and v2 is to follow."""
    async with stage(folder) as cluster:
        for name in ("v1", "v2"):
            await cluster.version(name)
        await cluster.deployment("v1")
        keepers = Keepers(cluster)
        try:
            async with cluster.gateway(lag=0.02) as one, cluster.gateway("gw-2", lag=0.15) as two:
                await keepers.start()
                await keepers.start()
                await cluster.until(lambda: has_all(cluster, "v1"), 90)
                await cluster.deployment("v2", strategy={"canary": {"steps": _STEPS}})
                yield cluster, keepers
                assert (one.failed, two.failed) == (0, 0)
        finally:
            await keepers.close()


def has_all(cluster: Stage, version: str) -> bool:
    """Whether a version is the stable one, with all traffic."""
    status = cluster.status()
    everything = cluster.weights() == {version: 10_000}
    return everything and status.get("stable") == version and status["phase"] == "Healthy"


async def shares(cluster: Stage, seen: list[int]) -> None:
    """Notes what v2 has, whenever that changes, until cancelled."""
    while True:
        now = cluster.weights().get("v2", 0)
        if now not in seen[-1:]:
            seen.append(now)
        await asyncio.sleep(0.01)


@pytest.mark.timeout(400)
async def test_a_roll_outlives_its_keepers(tmp_path: Path) -> None:
    """Eight times the one that acts is killed, at any moment: each step is taken, once and in order, no check
    finds a version without pods, and what is there at the end is what one keeper would have left.
    """
    rng = random.Random(11)
    async with rolling(tmp_path) as (cluster, keepers):
        seen: list[int] = []
        noting = asyncio.create_task(shares(cluster, seen))
        killed = 0
        while killed < _KILLS and not has_all(cluster, "v2"):
            await cluster.until(keepers.acting, 90)
            await asyncio.sleep(rng.uniform(0.0, 0.6))
            if (name := keepers.acting()) is not None:
                await keepers.kill(name)
                await keepers.start()
                killed += 1
        await cluster.until(lambda: has_all(cluster, "v2"), 120)
        noting.cancel()
        assert seen == _SHARES
        assert killed == _KILLS
        assert cluster.status()["rollbackReady"]["version"] == "v1"
        for kind in (kinds.DEPLOYMENTS, kinds.SERVICES):
            assert {one["metadata"]["name"] for one in cluster.all(kind)} == {"v1", "v2"}


@pytest.mark.timeout(400)
async def test_an_order_outlives_them_too(tmp_path: Path) -> None:
    """Taken back while keepers die: everything is v1's again, and v2 is not tried once more."""
    rng = random.Random(12)
    async with rolling(tmp_path) as (cluster, keepers):
        await cluster.until(lambda: cluster.weights().get("v2", 0) >= 1_000, 90)
        await cluster.order("back")
        for _ in range(3):
            await cluster.until(keepers.acting, 90)
            await asyncio.sleep(rng.uniform(0.0, 0.2))
            if (name := keepers.acting()) is not None:
                await keepers.kill(name)
                await keepers.start()
        await cluster.until(lambda: cluster.weights() == {"v1": 10_000}, 90)
        await cluster.until(lambda: cluster.status().get("phase") == "Overridden", 60)
        await cluster.remove(kinds.MODEL_OVERRIDES, "back")
        await cluster.until(lambda: cluster.status().get("rejected") == "v2", 60)
        assert cluster.weights() == {"v1": 10_000}
