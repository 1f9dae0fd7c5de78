"""Kopf's and the Python client's own watch loops against the sandbox on a bad day that takes an hour."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kopf
import pytest
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.rest import ApiException

from cluster.shapes import WIDGETS, config_map, widget
from ostiary_operator.sandbox.api.request import Caller, Deletion, Write
from ostiary_operator.sandbox.clock import VirtualClock
from ostiary_operator.sandbox.cluster import Cluster, Settings

Json = dict[str, Any]
_HOUR = 3600.0
_GROUP = "conformance.ostiary.dev"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster on a virtual clock, with widgets defined."""
    settings = Settings(tmp_path, clock=VirtualClock(), bookmark_every=0.2)
    async with Cluster(settings) as running:
        definitions = running.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        await running.operations.create(definitions, "", WIDGETS, Write())
        await running.manager.settle()
        yield running


async def churn(cluster: Cluster, count: int, steps: int) -> dict[str, int]:
    """Makes, changes and deletes widgets over an hour of the cluster's time; size by name of those left."""
    resource = cluster.resource(_GROUP, "v1", "widgets")
    left: dict[str, int] = {}
    for step in range(steps):
        name = f"w{step % count}"
        if name not in left:
            await cluster.operations.create(resource, "default", widget(name, size=1), Write())
            left[name] = 1
        elif step % 7 == 0:
            await cluster.deletions.delete(resource, "default", name, Deletion(), Caller("tester"))
            del left[name]
        else:
            size = step % 5 + 1
            spec = {"size": size, "colour": "red", "replicas": 1}
            await cluster.operations.change(
                resource, "default", name, lambda old, spec=spec: old | {"spec": spec}, Write()
            )
            left[name] = size
        await cluster.advance(_HOUR / steps)
        await asyncio.sleep(0.005)
    return left


async def until(holds: Any, seconds: float = 20.0) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.02)


_BAD_DAY = {
    "break_watch": 0.05, "drop_event": 0.05, "duplicate_event": 0.1, "throttle": 0.05,
    "error": 0.05, "gone": 0.1,
}  # fmt: skip


async def test_a_list_and_watch_loop_keeps_up(cluster: Cluster) -> None:
    """The Python client, listing and watching as its users do, ends with exactly what is there."""
    cluster.faults.set(**_BAD_DAY)
    seen: dict[str, int] = {}
    configuration = client.Configuration()
    await config.load_kube_config(
        str(cluster.settings.folder / "kubeconfig"), client_configuration=configuration
    )

    async def follow() -> None:
        async with client.ApiClient(configuration) as api_client:
            api = client.CustomObjectsApi(api_client)
            where = (_GROUP, "v1", "default", "widgets")
            while True:
                try:
                    listed = await api.list_namespaced_custom_object(*where)
                    seen.clear()
                    seen.update({one["metadata"]["name"]: one["spec"]["size"] for one in listed["items"]})
                    version = listed["metadata"]["resourceVersion"]
                    async with watch.Watch().stream(
                        api.list_namespaced_custom_object, *where, resource_version=version, timeout_seconds=2
                    ) as stream:
                        async for event in stream:
                            name = event["object"]["metadata"]["name"]
                            if event["type"] == "DELETED":
                                seen.pop(name, None)
                            else:
                                seen[name] = event["object"]["spec"]["size"]
                except ApiException:
                    await asyncio.sleep(0.01)

    task = asyncio.create_task(follow())
    left = await churn(cluster, 10, 120)
    await until(lambda: seen == left)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert cluster.clock.now() >= VirtualClock().now() + _HOUR
    assert {"break_watch", "duplicate_event"} & cluster.faults.counts.keys()


async def test_an_operator_of_kopf_keeps_up(cluster: Cluster) -> None:
    """Kopf's loops survive broken, dropped and duplicated watches, 429 and 5xx, and see the last state."""
    seen: dict[str, int] = {}
    registry = kopf.OperatorRegistry()

    @kopf.on.event(_GROUP, "v1", "widgets", registry=registry)  # type: ignore[misc, unused-ignore]
    async def remember(type: str | None, name: str, spec: Json, **_: Any) -> None:  # noqa: A002  # kopf's word
        if type == "DELETED":
            seen.pop(name, None)
        else:
            seen[name] = spec["size"]

    @kopf.on.login(registry=registry)  # type: ignore[misc, unused-ignore]
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=cluster.url, ca_path=str(cluster.authority), token=cluster.admin_token, scheme="Bearer"
        )

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.watching.reconnect_backoff = 0.01
    settings.watching.server_timeout = 2
    settings.networking.error_backoffs = [0.01] * 20
    settings.peering.standalone = True
    stop, ready = asyncio.Event(), asyncio.Event()
    operator = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=settings,
            namespaces=["default"],
            stop_flag=stop,
            ready_flag=ready,
            identity="test",
        )
    )
    await asyncio.wait_for(ready.wait(), 20)
    cluster.faults.set(**_BAD_DAY)
    left = await churn(cluster, 10, 120)
    cluster.faults.set(**dict.fromkeys(_BAD_DAY, 0.0))
    cluster.server.cut_watches()
    await until(lambda: seen == left)
    stop.set()
    await asyncio.wait_for(operator, 20)


async def test_a_restart_is_survived(tmp_path: Path) -> None:
    """Objects outlast the server by its journal, versions go on, and clients find it where it was."""
    async with Cluster(Settings(tmp_path, journal=True, clock=VirtualClock())) as cluster:
        maps = cluster.resource("", "v1", "configmaps")
        made = await cluster.operations.create(maps, "default", config_map(), Write())
        port = cluster.settings.port
        await cluster.restart()
        assert cluster.settings.port == port
        kept = cluster.operations.stored(cluster.resource("", "v1", "configmaps"), "default", "one")
        assert kept.data == made
        more = await cluster.operations.create(maps, "default", config_map("two"), Write())
        assert int(more["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
