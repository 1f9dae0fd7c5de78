"""A list and a watch for as long as the process lives."""

import asyncio
import random
from collections.abc import Mapping

import pytest

from gateway.kubernetes.stage import Json, Stage, route
from gateway.site import until
from ostiary_gateway.kubernetes.api_server import ROUTES, connected
from ostiary_gateway.kubernetes.watching import Watching, WatchTimes

QUICK = WatchTimes(watch=0.5, first_rest=0.01, last_rest=0.1)


async def test_watches_follow_one_another(cluster: Stage) -> None:
    """Each lasts a while; nothing is missed between two, and failures are told by the kind."""
    seen: dict[str, int] = {}
    failed: list[str] = []

    def changed(objects: Mapping[str, Json]) -> None:
        seen.clear()
        seen.update({name: int(one["spec"]["epoch"]) for name, one in objects.items()})

    async with connected("default", cluster.cluster.settings.folder / "kubeconfig", None) as server:
        watching = Watching(server, ROUTES, changed, random.Random(1), times=QUICK, failed=failed.append)
        running = asyncio.create_task(watching.run())
        for epoch in range(1, 30):
            await cluster.put(ROUTES, f"r{epoch % 3}", route(epoch, v1=10_000))
            if epoch % 10 == 0:
                await cluster.remove(ROUTES, "r1")
                cluster.cluster.server.cut_watches()
            await asyncio.sleep(0.05)
        await until(lambda: seen == {"r0": 27, "r1": 28, "r2": 29})
        assert watching.problem == ""
        assert set(failed) <= {"trafficroutes"}
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_what_cannot_be_taken_ends_no_watch(cluster: Stage) -> None:
    """Whatever goes wrong with an object is told, and the next is taken all the same."""
    taken: list[int] = []

    def changed(objects: Mapping[str, Json]) -> None:
        epoch = int(objects["qwen"]["spec"]["epoch"])
        if epoch == 2:
            raise RuntimeError("nobody foresaw this")
        taken.append(epoch)

    await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
    async with connected("default", cluster.cluster.settings.folder / "kubeconfig", None) as server:
        watching = Watching(server, ROUTES, changed, random.Random(1), times=QUICK)
        running = asyncio.create_task(watching.run())
        await until(lambda: taken == [1])
        await cluster.put(ROUTES, "qwen", route(2, v1=10_000))
        await until(lambda: "nobody foresaw this" in watching.problem)
        await cluster.put(ROUTES, "qwen", route(3, v1=10_000))
        await until(lambda: 3 in taken)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
