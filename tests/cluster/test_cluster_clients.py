"""Kopf's and the Python client's own watch loops against the sandbox on a bad day that takes an hour."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.rest import ApiException

from cluster.shapes import WIDGETS, config_map, widget
from ostiary_operator.sandbox.api.request import Write
from ostiary_operator.sandbox.api.store import Event
from ostiary_operator.sandbox.clock import VirtualClock
from ostiary_operator.sandbox.cluster import Cluster, Settings

Json = dict[str, Any]
_HOUR = 3600.0
_GROUP = "conformance.ostiary.dev"
_WHERE = (_GROUP, "v1", "default", "widgets")
_BUCKET = f"widgets.{_GROUP}"
_UNSTEADY = (ApiException, aiohttp.ClientError, OSError)
_BAD_DAY = {
    "conflict": 0.1, "break_watch": 0.1, "drop_event": 0.1, "duplicate_event": 0.1, "throttle": 0.05,
    "error": 0.05, "lost_answer": 0.1, "slow": 0.05, "delay": 0.02, "retry_after": 0,
}  # fmt: skip


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster on a virtual clock, with a journal, with widgets defined."""
    settings = Settings(tmp_path, clock=VirtualClock(), bookmark_every=0.2, journal=True)
    async with Cluster(settings) as running:
        definitions = running.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        await running.operations.create(definitions, "", WIDGETS, Write())
        await running.manager.settle()
        yield running


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[client.CustomObjectsApi]:
    """The Python client's access."""
    configuration = client.Configuration()
    path = str(cluster.settings.folder / "kubeconfig")
    await config.load_kube_config(path, client_configuration=configuration)
    async with client.ApiClient(configuration) as api_client:
        yield client.CustomObjectsApi(api_client)


async def insist(call: Callable[[], Awaitable[Any]], done: tuple[int, ...] = ()) -> Any:
    """Tries a call until it is done; codes in `done` say that an earlier try was, whose answer was lost."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await call()
            except ApiException as error:
                if error.status in done:
                    return None
                if error.status not in (409, 429, 500, 503):
                    raise
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(0.005)


async def churn(
    cluster: Cluster,
    api: client.CustomObjectsApi,
    steps: int,
    meanwhile: Callable[[int], Awaitable[None]] | None = None,
) -> dict[str, int]:
    """Makes, changes and deletes widgets over an hour of the cluster's time; size by name of those left."""
    left: dict[str, int] = {}

    async def change(name: str, size: int) -> None:
        found = await api.get_namespaced_custom_object(*_WHERE, name)
        await api.replace_namespaced_custom_object(*_WHERE, name, found | {"spec": {"size": size}})

    for step in range(steps):
        name, size = f"w{step % 10}", step % 5 + 1
        if name not in left:
            obj = widget(name, size=size)
            await insist(lambda obj=obj: api.create_namespaced_custom_object(*_WHERE, obj), (409,))
            left[name] = size
        elif step % 7 == 0:
            await insist(lambda name=name: api.delete_namespaced_custom_object(*_WHERE, name), (404,))
            del left[name]
        else:
            await insist(lambda name=name, size=size: change(name, size))
            left[name] = size
        await cluster.advance(_HOUR / steps)
        if meanwhile is not None:
            await meanwhile(step)
    return left


async def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[None]:
    """Something that goes on until the block ends; what it raised by itself is raised."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        finished = task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not finished


class Follower:
    """The Python client's watch, taken up where it broke off, as the client's users write it."""

    def __init__(self, api: client.CustomObjectsApi) -> None:
        self._api = api
        self.sizes: dict[str, int] = {}
        """Size by name, by all that was told."""
        self.told: list[tuple[int, str, str]] = []
        """Version, type and name of all events."""
        self.lists = 0

    async def follow(self) -> None:
        """Lists, then watches on from version to version; lists again where a version is gone."""
        version = ""
        while True:
            try:
                if not version:
                    listed = await self._api.list_namespaced_custom_object(*_WHERE)
                    self.lists += 1
                    self.sizes = {one["metadata"]["name"]: one["spec"]["size"] for one in listed["items"]}
                    version = listed["metadata"]["resourceVersion"]
                async with watch.Watch().stream(
                    self._api.list_namespaced_custom_object,
                    *_WHERE,
                    resource_version=version,
                    timeout_seconds=1,
                ) as stream:
                    async for event in stream:
                        version = self._hear(event)
            except _UNSTEADY as error:
                if isinstance(error, ApiException) and error.status == 410:
                    version = ""
                await asyncio.sleep(0.005)

    def _hear(self, event: Json) -> str:
        metadata = event["object"]["metadata"]
        self.told.append((int(metadata["resourceVersion"]), event["type"], metadata["name"]))
        if event["type"] == "DELETED":
            self.sizes.pop(metadata["name"], None)
        else:
            self.sizes[metadata["name"]] = event["object"]["spec"]["size"]
        return str(metadata["resourceVersion"])


def history(cluster: Cluster) -> list[tuple[int, str, str]]:
    """All that happens to widgets from now on: version, type and name."""
    happened: list[tuple[int, str, str]] = []

    def hear(event: Event) -> None:
        happened.append((event.revision, event.type, event.key[1]))

    cluster.store.listen(_BUCKET, hear)
    return happened


async def test_a_watch_that_is_taken_up_again_misses_nothing(
    cluster: Cluster, api: client.CustomObjectsApi
) -> None:
    """In an hour of conflicts, 429, 5xx, slow and lost answers, broken watches, dropped and doubled events
    the client is told of every single change, in order, by one list and watches from there on."""
    happened = history(cluster)
    follower = Follower(api)
    async with running(follower.follow()):
        await until(lambda: follower.lists == 1)
        cluster.faults.set(**_BAD_DAY)
        left = await churn(cluster, api, 150)
        await until(lambda: follower.told[-1:] == happened[-1:])
    assert follower.sizes == left
    versions = [version for version, _, _ in follower.told]
    assert versions == sorted(versions)
    assert list(dict.fromkeys(follower.told)) == happened
    assert len(follower.told) > len(happened), "no event was doubled"
    assert follower.lists == 1
    assert cluster.clock.now() >= VirtualClock().now() + _HOUR
    assert set(_BAD_DAY) - {"delay", "retry_after"} <= cluster.faults.counts.keys()


async def test_a_lost_event_would_be_seen(cluster: Cluster, api: client.CustomObjectsApi) -> None:
    """Where a server loses events without breaking the watch, which none may, the same comparison fails."""
    happened = history(cluster)
    follower = Follower(api)
    async with running(follower.follow()):
        await until(lambda: follower.lists == 1)
        cluster.faults.set(silent_drop=0.3)
        await churn(cluster, api, 40)
        cluster.faults.set(silent_drop=0.0)
        await insist(lambda: api.create_namespaced_custom_object(*_WHERE, widget("last")))
        await until(lambda: follower.told[-1:] == happened[-1:])
    assert set(follower.told) < set(happened)


async def test_a_client_survives_restarts_and_jumps(cluster: Cluster, api: client.CustomObjectsApi) -> None:
    """Versions that are gone, restarts and a clock that jumps both ways lead to new lists, and to what is."""
    follower = Follower(api)

    async def meanwhile(step: int) -> None:
        if step in (20, 60):
            await cluster.restart()
        if step in (30, 40):
            cluster.clock.jump(3600.0 if step == 30 else -7200.0)
        if step == 50:
            cluster.store.compact()
            cluster.server.cut_watches()

    async with running(follower.follow()):
        cluster.faults.set(gone=0.3, **_BAD_DAY)
        left = await churn(cluster, api, 80, meanwhile)
        await until(lambda: follower.sizes == left)
    assert follower.lists > 1
    assert cluster.faults.counts["gone"] > 0


async def test_an_operator_of_kopf_keeps_up(cluster: Cluster, api: client.CustomObjectsApi) -> None:
    """Kopf's loops survive the same day with a restart, a jump and versions that are gone, and see what is;
    the faults go on while they are waited for. Of what was deleted while its watch was broken kopf's new
    list says nothing, so nothing is asked of that here."""
    seen: dict[str, tuple[str, int]] = {}
    registry = kopf.OperatorRegistry()

    @kopf.on.event(_GROUP, "v1", "widgets", registry=registry)  # type: ignore[misc, unused-ignore]
    async def remember(type: str | None, name: str, uid: str, spec: Json, **_: Any) -> None:  # noqa: A002
        if type != "DELETED":
            seen[name] = (uid, spec["size"])
        elif name in seen and seen[name][0] == uid:  # of two lives of a name, each has a worker of its own
            del seen[name]

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

    async def meanwhile(step: int) -> None:
        if step == 60:
            await cluster.restart()
        if step == 80:
            cluster.clock.jump(-600.0)

    try:
        async with asyncio.timeout(20):
            await ready.wait()
        cluster.faults.set(gone=0.3, **_BAD_DAY)
        left = await churn(cluster, api, 120, meanwhile)
        await until(lambda: {name: seen[name][1] for name in left if name in seen} == left)
    finally:
        # Kopf's loops end cleanly by their flag alone: cancelled with the test's, they can wait for ever.
        stop.set()
        async with asyncio.timeout(20):
            await operator
    assert {"break_watch", "drop_event", "duplicate_event", "gone"} <= cluster.faults.counts.keys()


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
