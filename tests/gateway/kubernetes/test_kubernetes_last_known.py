"""A start without an API server: what was in force last is on disk, or the start waits."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from gateway.kubernetes.stage import POLICY, Stage, route
from gateway.site import People, Site, until
from ostiary.cli.stack.files import free_ports
from ostiary.wire.process import Stop, serve
from ostiary_gateway.kubernetes.api_server import POLICIES, REGISTRIES, ROUTES
from ostiary_gateway.kubernetes.sources import KubernetesSources
from ostiary_gateway.serve import gateway

BRANDS = {"version": "1", "brands": [{"id": "acme", "words": [{"referenceId": "w", "text": "ACME"}]}]}
ALL: dict[str, Any] = {"route": "qwen", "policy": "default", "brands": True}
FILES = ("brandregistries.json", "endpointslices.json", "moderationpolicies.json", "trafficroutes.json")


@asynccontextmanager
async def away(cluster: Stage) -> AsyncIterator[None]:
    """Without its API server; it is back afterwards."""
    await cluster.cluster.stop()
    try:
        yield
    finally:
        cluster.cluster._open()
        await cluster.cluster.start()


async def kept(cluster: Stage, folder: Path) -> None:
    """A gateway has run here, with everything in force, and stopped."""
    await cluster.put(ROUTES, "qwen", route(3, v1=10_000))
    await cluster.put(POLICIES, "default", POLICY)
    await cluster.put(REGISTRIES, "house", BRANDS)
    await cluster.pods("v1", "10.0.0.1")
    async with cluster.sources(**ALL, last_known=folder) as sources:
        await until(lambda: all((folder / name).exists() for name in FILES))
        bad = POLICY | {"version": "2", "rulePacks": ["nonsense"]}
        await cluster.put(POLICIES, "default", bad)
        await until(lambda: cluster.accepted(POLICIES, "default")[0] == "False")
        await until(lambda: names(sources) == {"house"})


def names(sources: KubernetesSources) -> set[str]:
    assert sources.brands
    return set(sources.brands.brands().by_name)


def in_force(sources: KubernetesSources) -> tuple[int, list[str], str, set[str]]:
    """Epoch, pods, policy and registries."""
    assert sources.route
    assert sources.policy
    found = sources.route.route()
    pods = [each.address for one in found.versions for each in one.endpoints]
    return found.epoch, pods, sources.policy.policy().label, names(sources)


async def test_what_was_in_force_last_is_served(cluster: Stage, tmp_path: Path) -> None:
    """All of it, the last good policy rather than the bad one after it; then the API server's word counts."""
    folder = tmp_path / "last-known"
    await kept(cluster, folder)
    async with AsyncExitStack() as stack:
        async with away(cluster):
            started = cluster.sources(**ALL, last_known=folder, wait_seconds=0.5)
            sources = await stack.enter_async_context(started)
            assert in_force(sources) == (3, ["10.0.0.1:8546"], "default@1", {"house"})
        await cluster.put(ROUTES, "qwen", route(4, v1=10_000))
        await until(lambda: in_force(sources)[0] == 4)
        await until(lambda: cluster.acked() == {"qwen": 4})


async def tried(cluster: Stage, folder: Path) -> bool:
    """Whether a gateway starts without its API server; it is waited for longer than it waits for objects."""
    async with away(cluster):
        try:
            async with asyncio.timeout(6.0), cluster.sources(**ALL, last_known=folder, wait_seconds=0.5):
                return True
        except TimeoutError:
            return False


def torn(path: Path) -> None:
    """Half of it was written."""
    path.write_bytes(path.read_bytes()[:-20])


def changed(path: Path) -> None:
    """By somebody."""
    path.write_bytes(path.read_bytes().replace(b"10000", b"00001"))


def another(path: Path) -> None:
    """That of another kind."""
    path.write_bytes((path.parent / "moderationpolicies.json").read_bytes())


def gone(path: Path) -> None:
    """It was never kept."""
    path.unlink()


@pytest.mark.parametrize("harm", [torn, changed, another, gone], ids=lambda one: one.__name__)
async def test_what_is_not_whole_is_not_served(cluster: Stage, tmp_path: Path, harm: Any) -> None:
    """The start waits for the API server, however long, and goes on once it is there."""
    folder = tmp_path / "last-known"
    await kept(cluster, folder)
    harm(folder / "trafficroutes.json")
    assert not await tried(cluster, folder)
    async with cluster.sources(**ALL | {"policy": None}, last_known=folder) as sources:
        assert sources.route
        assert sources.route.route().epoch == 3


async def test_other_settings_have_another_state(cluster: Stage, tmp_path: Path) -> None:
    """A gateway of another model does not take this one's pods."""
    folder = tmp_path / "last-known"
    await kept(cluster, folder)
    assert await tried(cluster, folder)
    async with away(cluster):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0), cluster.sources(route="other", last_known=folder):
                raise AssertionError("it started")


async def test_its_age_is_told(cluster: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In seconds, from when the API server last told it; nothing is old while its watch is in order."""
    told: dict[str, Any] = {}
    monkeypatch.setattr(
        "ostiary_gateway.kubernetes.sources.watch_staleness", lambda _, read: told.update(read=read)
    )
    folder = tmp_path / "last-known"
    await kept(cluster, folder)
    for name in FILES:
        os.utime(folder / name, (0, time.time() - 3600))
    async with away(cluster), cluster.sources(**ALL, last_known=folder):
        ages = told["read"]()
        assert {f"{plural}.json" for plural in ages} == set(FILES)
        assert all(3600 <= age < 3700 for age in ages.values())
    await cluster.put(POLICIES, "default", POLICY | {"version": "3"})
    async with cluster.sources(**ALL, last_known=folder):
        await until(lambda: set(told["read"]().values()) == {0.0})


async def test_a_folder_that_cannot_be_used_is_named(cluster: Stage, tmp_path: Path) -> None:
    """Before anything is served."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"kubernetes\.last_known: .*file/below"):
        async with cluster.sources(**ALL, last_known=tmp_path / "file/below"):
            raise AssertionError("it started")


async def test_a_gateway_that_waits_stops_when_told(cluster: Stage, tmp_path: Path, people: People) -> None:
    """It says NOT_SERVING meanwhile; a stop is no crash, and takes no grace period."""
    site = Site.make(tmp_path / "gateway", people, [])
    named = {"route": "qwen", "policy": "default", "kubeconfig": str(cluster.settings().kubeconfig)}
    health = f"127.0.0.1:{free_ports(1)[0]}"
    settings = site.settings(route=None, policy=None, kubernetes=named, health=health)
    async with away(cluster):
        stop = Stop()
        running = asyncio.create_task(serve("ostiary-gateway", gateway(settings), stop, otlp_endpoint=None))
        async with grpc.aio.insecure_channel(health) as channel:
            probe = HealthStub(channel)
            told = await probe.Check(HealthCheckRequest(), wait_for_ready=True, timeout=30)
        assert told.status == HealthCheckResponse.NOT_SERVING
        stop.set()
        async with asyncio.timeout(10):
            await running
