"""Galleries on their way to pods: who gets them, when, and what is known where one does not take them."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from gateway.brands import registries
from gateway.brands.registries import brand
from gateway.scripted_pod import Script, serving
from gateway.site import DOMAIN, People, until
from ostiary.v1.admin_pb2 import PodGallery
from ostiary.v1.config_pb2 import Endpoint, RouteVersion, TrafficRoute
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.brands.in_force import NO_BRANDS, Brands
from ostiary_gateway.galleries import Galleries, GalleryTimes
from ostiary_gateway.pods import PodClient, PreparedPods

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ONE = registries.in_force(brand())
TWO = registries.in_force(brand(), brand("acmoria", shade=1))
DEAD = Endpoint(address="127.0.0.1:1", server_name=f"pod.{DOMAIN}")


@dataclass
class Stage:
    """Two pods, a gateway's galleries, and a clock; a route and registries that the test changes."""

    scripts: list[Script]
    endpoints: list[Endpoint]
    client: PodClient
    prepared: PreparedPods
    held: Brands = ONE
    routed: TrafficRoute = field(default_factory=TrafficRoute)
    now: float = 0.0

    def route(self) -> TrafficRoute:
        return self.routed

    def brands(self) -> Brands:
        return self.held

    def to(self, endpoints: Sequence[Endpoint]) -> None:
        version = RouteVersion(name="v1", weight=10_000, endpoints=endpoints)
        self.routed = TrafficRoute(name="r", versions=[version])

    def galleries(self, **times: float) -> Galleries:
        return Galleries(
            self,
            self,
            self.client,
            prepared=self.prepared,
            times=GalleryTimes(**times),
            clock=lambda: self.now,
            now=lambda: NOW,
        )

    async def round(self, galleries: Galleries, seconds: float = 0.0) -> dict[str, PodGallery]:
        """What is known of each pod after one more round, so many seconds later."""
        self.now += seconds
        await asyncio.gather(*galleries.begin_round())
        return {each.address: each for each in galleries.held()}


@pytest.fixture
async def stage(people: People) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        scripts = [Script() for _ in range(2)]
        pods = [
            await stack.enter_async_context(serving(script, people.credentials("pod"))) for script in scripts
        ]
        endpoints = [Endpoint(address=pod.address, server_name=f"pod.{DOMAIN}") for pod in pods]
        client = PodClient(people.credentials("gateway"), random.Random(7))
        stack.push_async_callback(client.close)
        stage = Stage(scripts, endpoints, client, PreparedPods())
        stage.to(endpoints)
        yield stage


async def test_every_pod_gets_the_marks_once(stage: Stage) -> None:
    """With their digest; what a pod refuses of them is kept."""
    stage.scripts[0].gallery.refused = ("zorvane-mark: too plain",)
    galleries = stage.galleries()
    for _ in range(3):
        held = await stage.round(galleries, 2.0)
    assert [len(script.gallery.put) for script in stage.scripts] == [1, 1]
    put = stage.scripts[0].gallery.put[0]
    assert [(mark.brand, mark.reference_id, list(mark.words)) for mark in put.marks] == [
        ("zorvane", "zorvane-mark", []),
        ("zorvane", "zorvane-word", ["ZORVANE"]),
    ]
    assert put.marks[0].image == registries.png(0)
    first, second = (held[endpoint.address] for endpoint in stage.endpoints)
    assert first.digest == second.digest == ONE.gallery
    assert (list(first.refused), list(second.refused)) == (["zorvane-mark: too plain"], [])
    assert first.pushed_at.ToDatetime(UTC) == NOW
    assert not first.problem


async def test_a_change_reaches_all_pods(stage: Stage) -> None:
    """Also where the last registry goes: then nothing is left to compare with."""
    galleries = stage.galleries()
    await stage.round(galleries)
    for held in (TWO, NO_BRANDS):
        stage.held = held
        await stage.round(galleries, 2.0)
        assert {script.gallery.digest for script in stage.scripts} == {held.gallery}
    assert not stage.scripts[0].gallery.put[-1].marks


async def test_a_pod_that_starts_anew_gets_them_again(stage: Stage) -> None:
    """It says so itself."""
    galleries = stage.galleries()
    await stage.round(galleries)
    stage.scripts[1].gallery.digest = b""
    await stage.round(galleries, 2.0)
    assert [len(script.gallery.put) for script in stage.scripts] == [1, 2]


async def test_without_registries_pods_are_left_alone(stage: Stage) -> None:
    """A pod that never had a gallery does not need an empty one."""
    stage.held = NO_BRANDS
    held = await stage.round(stage.galleries())
    assert not stage.scripts[0].gallery.put
    assert not any(each.problem for each in held.values())


async def test_a_pod_without_the_detector_is_told_of(stage: Stage) -> None:
    """It is sent nothing that it could not use."""
    stage.scripts[0].gallery.compares = False
    held = await stage.round(stage.galleries())
    assert not stage.scripts[0].gallery.put
    assert "no detector of the pod compares with galleries" in held[stage.endpoints[0].address].problem


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OstiaryError(Reason.INVALID_FIELD, "marks is invalid: no"), "INVALID_FIELD: marks is invalid: no"),
        (OstiaryError(Reason.UNIMPLEMENTED, "not yet"), "UNIMPLEMENTED: not yet"),
    ],
)
async def test_a_push_that_fails_is_tried_again_with_patience(
    stage: Stage, failure: OstiaryError, words: str
) -> None:
    """After 1, 2, 4 … seconds, at most a minute; the other pods are not kept waiting."""
    bad = stage.scripts[0].gallery
    bad.failure = failure
    galleries = stage.galleries()
    held = await stage.round(galleries)
    assert held[stage.endpoints[0].address].problem == words
    assert stage.scripts[1].gallery.digest == ONE.gallery
    tried = []
    for _ in range(200):
        before = len(bad.put)
        await stage.round(galleries, 1.0)
        tried += [stage.now] * (len(bad.put) - before)
    assert tried == [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0]
    bad.failure = None
    held = await stage.round(galleries, 60.0)
    held = await stage.round(galleries, 1.0)
    assert not held[stage.endpoints[0].address].problem
    assert bad.digest == ONE.gallery


async def test_a_new_gallery_does_not_wait_for_the_old_ones_patience(stage: Stage) -> None:
    """What failed may be what was mended."""
    bad = stage.scripts[0].gallery
    bad.failure = OstiaryError(Reason.INVALID_FIELD, "no")
    galleries = stage.galleries()
    for _ in range(40):
        await stage.round(galleries, 1.0)
    bad.failure, stage.held = None, TWO
    await stage.round(galleries, 1.0)
    assert bad.digest == TWO.gallery


async def test_gateways_that_disagree_do_not_fight_without_end(stage: Stage) -> None:
    """Where another gateway puts its own gallery after each push, pushes become rare."""
    contested = stage.scripts[0].gallery
    galleries = stage.galleries()
    for _ in range(300):
        await stage.round(galleries, 1.0)
        contested.digest = b"o" * 32
    assert len(contested.put) < 14


async def test_a_pod_that_says_it_holds_others_is_told_of(stage: Stage) -> None:
    """It took the marks and computed another digest: the two ends do not agree on what a gallery is."""
    stage.scripts[0].gallery.others = b"o" * 32
    held = await stage.round(stage.galleries())
    told = held[stage.endpoints[0].address]
    assert "says that it holds others" in told.problem
    assert not told.HasField("pushed_at")


async def test_a_pod_that_is_away_keeps_nobody_waiting(stage: Stage) -> None:
    """And it gets the gallery when it comes."""
    stage.to([DEAD, stage.endpoints[0]])
    held = await stage.round(stage.galleries())
    assert held[DEAD.address].problem.startswith(("UNAVAILABLE", "CLIENT_CERTIFICATE"))
    assert stage.scripts[0].gallery.digest == ONE.gallery


async def test_a_pod_that_is_slow_keeps_nobody_waiting(stage: Stage) -> None:
    """The others are looked after round by round; it is not sent a second copy meanwhile."""
    slow = stage.scripts[0].gallery
    slow.gate.clear()
    galleries = stage.galleries()
    first = galleries.begin_round()
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    await until(lambda: bool(slow.put))
    stage.held = TWO
    await stage.round(galleries, 2.0)
    assert stage.scripts[1].gallery.digest == TWO.gallery
    assert len(slow.put) == 1
    slow.gate.set()
    await asyncio.gather(*first)
    await stage.round(galleries, 2.0)
    assert slow.digest == TWO.gallery


async def test_pods_that_leave_the_route_are_forgotten(stage: Stage) -> None:
    """They are nobody's business any more."""
    galleries = stage.galleries()
    await stage.round(galleries)
    stage.to(stage.endpoints[:1])
    assert list(await stage.round(galleries, 2.0)) == [stage.endpoints[0].address]


async def test_a_gallery_that_is_too_large_is_told_of(stage: Stage, people: People) -> None:
    """The pod's limit for one message ends it, in words."""
    async with serving(Script(), people.credentials("pod"), max_receive_bytes=100) as pod:
        stage.to([Endpoint(address=pod.address, server_name=f"pod.{DOMAIN}")])
        held = await stage.round(stage.galleries())
        assert held[pod.address].problem.startswith("TOO_LARGE")


async def test_rounds_go_on_until_they_are_ended(stage: Stage) -> None:
    """A change wakes them before their time."""
    galleries = stage.galleries(interval=60.0)
    running = asyncio.create_task(galleries.run())
    await until(lambda: stage.scripts[0].gallery.digest == ONE.gallery)
    stage.held, stage.now = TWO, 2.0
    galleries.wake()
    await until(lambda: stage.scripts[0].gallery.digest == TWO.gallery)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_pods_are_prepared_once_they_hold_the_gallery(stage: Stage) -> None:
    """Or once it is known why they do not; what was gone is not prepared when it comes back."""
    stage.scripts[1].gallery.compares = False
    galleries = stage.galleries()
    one, other = stage.endpoints
    assert stage.prepared.among([one, other]) == [one, other]
    stage.to([one])
    looking = galleries.begin_round()
    assert stage.prepared.among([one, other]) == []
    await asyncio.gather(*looking)
    assert stage.prepared.among([one, other]) == [one]
    assert stage.scripts[0].gallery.digest == ONE.gallery
    stage.to([other])
    await stage.round(galleries)
    assert stage.prepared.among([one, other]) == [other]
    stage.to([one, other])
    galleries.begin_round()
    assert stage.prepared.among([one, other]) == [other]


async def test_new_pods_do_not_wait_for_the_next_round(stage: Stage) -> None:
    """They are sent the marks as they come; the others are not asked more often for that."""
    stage.to(stage.endpoints[:1])
    galleries = stage.galleries(interval=3600.0, new=0.01)
    running = asyncio.create_task(galleries.run())
    await until(lambda: stage.prepared.among(stage.endpoints) == stage.endpoints[:1])
    asked = stage.scripts[0].gallery.asked
    stage.to(stage.endpoints)
    await until(lambda: stage.prepared.among(stage.endpoints) == stage.endpoints)
    assert stage.scripts[1].gallery.digest == ONE.gallery
    assert stage.scripts[0].gallery.asked == asked
    running.cancel()
    await asyncio.wait([running])
    stage.to(stage.endpoints[:1])
    assert stage.prepared.among(stage.endpoints) == stage.endpoints
