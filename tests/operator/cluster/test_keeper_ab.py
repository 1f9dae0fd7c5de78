"""A/B on a cluster: the keeper's pins stand beside people's, and go again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.keeper.stage import stage
from ostiary_operator.cluster import kinds

Json = dict[str, Any]


async def test_pins_of_the_keeper_and_of_people(tmp_path: Path) -> None:
    """A person has pinned a tenant; the keeper pins another one to the candidate, and takes its own pin away
    when the candidate has everything.
    """
    async with stage(tmp_path) as cluster:
        for name in ("v1", "v2"):
            await cluster.version(name)
        await cluster.deployment("v1")
        async with cluster.gateway(), cluster.keeper():
            await cluster.until(lambda: cluster.status().get("phase") == "Healthy")
            route = cluster.all(kinds.TRAFFIC_ROUTES)[0]

            def pins() -> list[Json]:
                return list(cluster.all(kinds.TRAFFIC_ROUTES)[0]["spec"].get("pins", []))

            people = {"tenant": "shop-b", "header": "", "version": "v1"}
            changed = {**route["spec"], "pins": [people], "epoch": str(int(route["spec"]["epoch"]) + 1)}
            name = {"name": route["metadata"]["name"]}
            await cluster.put(kinds.TRAFFIC_ROUTES, {"metadata": name, "spec": changed})
            strategy = {"ab": {"tenants": ["shop-a"], "seconds": 3.0}}
            await cluster.deployment("v2", strategy=strategy)
            own = {"tenant": "shop-a", "header": "", "version": "v2"}
            await cluster.until(lambda: own in pins())
            assert people in pins()
            assert cluster.weights() == {"v1": 10_000}
            await cluster.until(lambda: cluster.status().get("stable") == "v2")
            await cluster.until(lambda: pins() == [people])
            assert cluster.weights() == {"v2": 10_000}


async def test_arms_are_written_and_compared(tmp_path: Path) -> None:
    """The route says which arm a pin's callers are of, and the run that these alone are compared."""
    metric = {"name": "errors", "compare": {"figure": "errors", "margin": 0.1}}
    async with stage(tmp_path) as cluster:
        for name in ("v1", "v2"):
            await cluster.version(name)
        template = {"minSamples": 5, "metrics": [metric]}
        await cluster.put(kinds.ANALYSIS_TEMPLATES, {"metadata": {"name": "canary"}, "spec": template})
        await cluster.deployment("v1")
        async with cluster.gateway(), cluster.keeper():
            await cluster.until(lambda: cluster.status().get("phase") == "Healthy")
            ab = {
                "tenants": ["shop-a"], "control": {"tenants": ["shop-b"]}, "analysis": {"template": "canary"},
            }  # fmt: skip
            await cluster.deployment("v2", strategy={"ab": ab})
            await cluster.until(lambda: cluster.all(kinds.ANALYSIS_RUNS))
            (run,), (route,) = cluster.all(kinds.ANALYSIS_RUNS), cluster.all(kinds.TRAFFIC_ROUTES)
            assert run["spec"]["arms"] is True
            assert route["spec"]["pins"] == [
                {"tenant": "shop-a", "header": "", "version": "v2", "arm": "candidate"},
                {"tenant": "shop-b", "header": "", "version": "v1", "arm": "control"},
            ]
