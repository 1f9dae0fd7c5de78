"""The benchmark of the sandbox: what is measured, and what is made of it."""

import asyncio
from pathlib import Path

from bench.cluster import measure, report
from ostiary_operator.sandbox.cluster import Cluster, Settings


async def test_a_small_run_measures_everything(tmp_path: Path) -> None:
    """Creates, updates and both kinds of list are timed, and every answer is checked on the way."""
    async with Cluster(Settings(tmp_path)) as cluster:
        figures = await asyncio.wait_for(
            measure(cluster.url, cluster.admin_token, cluster.authority, objects=12, count=5, clients=2), 60
        )
        assert len(cluster.store.items("configmaps.", "default")) == 12
    assert figures.keys() == {"creates_per_s", "updates_per_s", "list_s", "table_s"}
    assert all(value > 0 for value in figures.values())


def test_the_slower_kind_of_write_counts() -> None:
    """The bar of writes is held against the slower of creating and updating."""
    figures = {"creates_per_s": 900.0, "updates_per_s": 400.0, "list_s": 0.2, "table_s": 0.4}
    bars = {bar.name: bar.met for bar in report(figures, 10_000, 8).bars}
    assert bars == {"list all objects, seconds": True, "writes per second": False}
