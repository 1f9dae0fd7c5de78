"""The keeper at work: kopf running, on a cluster with simulated pods and gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper_stage import Stage, stage
from ostiary_operator.cluster import kinds


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Stage]:
    """Three versions, of which v1 is to serve."""
    async with stage(tmp_path) as made:
        for name in ("v1", "v2", "v3"):
            await made.version(name)
        await made.deployment("v1")
        yield made


async def test_a_version_is_rolled_step_by_step(cluster: Stage) -> None:
    """The first version serves; the second follows in steps, and the first is kept warm."""
    async with cluster.gateway() as gateway, cluster.keeper():
        await cluster.until(lambda: cluster.status().get("phase") == "Healthy")
        assert cluster.weights() == {"v1": 10_000}
        await cluster.deployment("v2")
        seen = []

        def rolled() -> bool:
            if not seen or seen[-1] != cluster.weights():
                seen.append(cluster.weights())
            return cluster.status()["stable"] == "v2" and cluster.status()["phase"] == "Healthy"

        await cluster.until(rolled)
        assert seen == [
            {"v1": 10_000},
            {"v1": 9_000, "v2": 1_000},
            {"v1": 5_000, "v2": 5_000},
            {"v2": 10_000},
        ]
        assert cluster.ready("v1") == 2
        assert gateway.failed == 0
        assert cluster.condition("RollbackReady")["status"] == "True"
