"""What the keeper costs: `python -m bench.keeper [--deployments 200]` writes `bench/results/keeper.json`.

`ostiary operator run` in a process of its own keeps ModelDeployments of three versions each on a cluster in
this process; one gateway renews its Lease with the epochs of all routes. Measured are the keeper's processor
time and memory while nothing happens, and the time from a spec's change to the first object that is made;
and, in this process, what one look costs without and with gates.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil

from bench.keeper.looks import costs
from bench.keeper.stage import TEMPLATE, Stage, stage
from ostiary_operator.cluster import kinds
from ostiary_operator.sandbox.controllers.kubelet import Timings
from ostiary_operator.sandbox.controllers.scheduler import new_node

RESULTS = Path(__file__).resolve().parents[1] / "results/keeper.json"
VERSIONS = ("1", "2", "3")
MOST_CORE, MOST_MIB, MOST_SECONDS = 0.05, 200.0, 1.0
_SETTLE_SECONDS, _QUIET_SECONDS = 10.0, 30.0
_CHANGES = 20


async def renew(cluster: Stage) -> None:
    """A gateway that has applied every route as it stands, as it says every four seconds, until cancelled."""
    while True:
        routes = cluster.all(kinds.TRAFFIC_ROUTES)
        acked = {one["metadata"]["name"]: int(one["spec"]["epoch"]) for one in routes}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        metadata = {
            "name": "ostiary-gateway-gw",
            "labels": {kinds.COMPONENT: "gateway"},
            "annotations": {kinds.ACKED: json.dumps(acked)},
        }
        spec = {"holderIdentity": "gw", "leaseDurationSeconds": 15, "renewTime": now}
        await cluster.put(kinds.LEASES, {"metadata": metadata, "spec": spec})
        await asyncio.sleep(4.0)


async def fill(cluster: Stage, count: int) -> None:
    """So many ModelDeployments, each of the first of three versions."""
    for index in range(count):
        name = f"m{index}"
        for version in VERSIONS:
            await cluster.version(f"{name}-{version}", model=name)
        await cluster.deployment(f"{name}-1", name=name, replicas=1)


async def first_action(cluster: Stage, name: str) -> float:
    """Seconds from a spec's change until the next version's Deployment is there."""
    began = time.monotonic()
    await cluster.deployment(f"{name}-2", name=name, replicas=1)
    await cluster.until(lambda: cluster.find(kinds.DEPLOYMENTS, f"{name}-2"))
    return time.monotonic() - began


async def measured(count: int) -> dict[str, float]:
    """The figures."""
    with tempfile.TemporaryDirectory() as folder:
        # A version's pod asks for two processors.
        nodes = tuple(new_node(f"node-{index}") for index in range(count))
        timings = Timings(pull=0.0, load=0.1, stop=0.1)
        async with stage(Path(folder), timings=timings, nodes=nodes) as cluster:
            await fill(cluster, count)
            gateway = asyncio.create_task(renew(cluster))
            code = "from ostiary_operator.cli import app; app()"
            into = ["--kubeconfig", f"{folder}/kubeconfig", "--namespace", "default"]
            options = ["--pod-template", str(TEMPLATE), *into]
            keeper = await asyncio.create_subprocess_exec(sys.executable, "-c", code, "run", *options)
            try:
                return await _figures(cluster, psutil.Process(keeper.pid), count)
            finally:
                keeper.terminate()
                await keeper.wait()
                gateway.cancel()
                with suppress(asyncio.CancelledError):
                    await gateway


async def _figures(cluster: Stage, keeper: psutil.Process, count: int) -> dict[str, float]:
    def healthy() -> bool:
        found = cluster.all(kinds.MODEL_DEPLOYMENTS)
        return all((one.get("status") or {}).get("phase") == "Healthy" for one in found)

    began = time.monotonic()
    await cluster.until(healthy, 300.0)
    rolled = time.monotonic() - began
    await asyncio.sleep(_SETTLE_SECONDS)
    before, since = keeper.cpu_times(), time.monotonic()
    await asyncio.sleep(_QUIET_SECONDS)
    after, seconds = keeper.cpu_times(), time.monotonic() - since
    memory = keeper.memory_info().rss / 1024 / 1024
    took = [await first_action(cluster, f"m{index}") for index in range(min(_CHANGES, count))]
    return {
        "deployments": count,
        "first_versions_seconds": round(rolled, 1),
        "core": round((after.user + after.system - before.user - before.system) / seconds, 4),
        "mib": round(memory, 1),
        "first_action_median_seconds": round(median(took), 3),
        "first_action_worst_seconds": round(max(took), 3),
    }


def main() -> int:
    """Measure; the exit status is 0 where every bar was reached."""
    parser = argparse.ArgumentParser(prog="make bench-keeper", description=__doc__)
    parser.add_argument("--deployments", type=int, default=200)
    arguments = parser.parse_args()
    logging.getLogger("aiohttp.access").setLevel(logging.ERROR)
    found = asyncio.run(measured(arguments.deployments)) | costs(arguments.deployments)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    worst = found["first_action_worst_seconds"]
    return 0 if found["core"] <= MOST_CORE and found["mib"] <= MOST_MIB and worst <= MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
