"""The way to pods: the less busy of two, another where one is down, new channels with a new certificate."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from gateway.scripted_pod import Script, serving
from gateway.site import DOMAIN, People
from ostiary.v1.config_pb2 import Endpoint, RouteVersion, TrafficRoute
from ostiary.v1.image_pb2 import Image
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.pods import Ask, PodClient, PreparedPods

ASK = Ask("c", CheckRequest(images=[Image(data=b"x")]).SerializeToString())
DEAD = Endpoint(address="127.0.0.1:1")


@dataclass
class Fleet:
    """Three pods and the client to them."""

    scripts: list[Script]
    endpoints: list[Endpoint]
    client: PodClient
    prepared: PreparedPods

    async def infer(self, *endpoints: Endpoint, seconds: float = 10) -> None:
        route = route_of(*endpoints)
        await self.client.infer(route, route.versions[0], ASK, seconds)

    async def connect(self, *endpoints: Endpoint) -> None:
        """There are connections to the pods from now on, as long as all calls name the same."""
        for endpoint in endpoints:
            await self.client.status(route_of(*endpoints), endpoint, 10)


def route_of(*endpoints: Endpoint) -> TrafficRoute:
    return TrafficRoute(name="r", versions=[RouteVersion(name="v1", weight=10_000, endpoints=endpoints)])


async def asked(count: int, *scripts: Script) -> None:
    """Wait until so many calls have reached the pods together."""
    arrived = asyncio.Event()
    for script in scripts:
        script.arrived = arrived
    while sum(len(script.asked) for script in scripts) < count:
        arrived.clear()
        await arrived.wait()


@pytest.fixture
async def fleet(people: People) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        scripts = [Script() for _ in range(3)]
        pods = [
            await stack.enter_async_context(serving(script, people.credentials("pod"))) for script in scripts
        ]
        endpoints = [Endpoint(address=pod.address, server_name=f"pod.{DOMAIN}") for pod in pods]
        prepared = PreparedPods()
        client = PodClient(people.credentials("gateway"), random.Random(7), prepared=prepared)
        stack.push_async_callback(client.close)
        yield Fleet(scripts, endpoints, client, prepared)


async def test_a_busy_pod_is_spared(fleet: Fleet) -> None:
    """With one call stuck on a pod, the other of the two gets all that follow."""
    stuck, free = fleet.scripts[:2]
    await fleet.connect(*fleet.endpoints[:2])
    for script in (stuck, free):
        script.gate.clear()
    first = asyncio.ensure_future(fleet.infer(*fleet.endpoints[:2]))
    await asyncio.wait(
        [asyncio.ensure_future(script.arrived.wait()) for script in (stuck, free)],
        return_when=asyncio.FIRST_COMPLETED,
    )
    if free.asked:
        stuck, free = free, stuck
    free.gate.set()
    for _ in range(5):
        await fleet.infer(*fleet.endpoints[:2])
    assert (len(stuck.asked), len(free.asked)) == (1, 5)
    stuck.gate.set()
    await first


async def test_idle_pods_share_the_work(fleet: Fleet) -> None:
    """Drawn at random, none is left out."""
    for _ in range(60):
        await fleet.infer(*fleet.endpoints)
    assert min(len(script.asked) for script in fleet.scripts) >= 10


async def test_pods_that_are_not_prepared_yet_are_spared(fleet: Fleet) -> None:
    """They get what the prepared ones have no room for, and everything where there are no others."""
    await fleet.infer(*fleet.endpoints[1:])
    fleet.prepared.keep(fleet.endpoints)
    await fleet.infer(*fleet.endpoints[1:])
    fleet.prepared.add(fleet.endpoints[0])
    for _ in range(20):
        await fleet.infer(*fleet.endpoints)
    first, *others = fleet.scripts
    assert len(first.asked) == 20
    before = sum(len(script.asked) for script in others)

    def full(check: CheckRequest) -> None:
        raise OstiaryError(Reason.OVERLOADED, "scripted")

    first.answer = full  # type: ignore[assignment]
    await fleet.infer(*fleet.endpoints)
    assert len(first.asked) == 21
    assert sum(len(script.asked) for script in others) == before + 1


async def test_another_pod_is_tried_where_one_is_down(fleet: Fleet) -> None:
    """Whichever is drawn first, each of ten checks is looked at."""
    for _ in range(10):
        await fleet.infer(DEAD, fleet.endpoints[0])
    assert len(fleet.scripts[0].asked) == 10


async def test_a_pod_that_cannot_be_reached_attracts_no_calls(fleet: Fleet) -> None:
    """Though it has none in hand, and the other is busy."""
    live = fleet.scripts[0]
    with suppress(OstiaryError):
        await fleet.connect(fleet.endpoints[0], DEAD)
    live.gate.clear()
    with capture_logs() as logs:
        calls = [asyncio.ensure_future(fleet.infer(DEAD, fleet.endpoints[0])) for _ in range(20)]
        await asked(20, live)
        live.gate.set()
        await asyncio.gather(*calls)
    assert not [entry for entry in logs if entry["event"] == "pod failed"]


async def test_what_a_pod_leaves_behind_is_looked_at_elsewhere(people: People, fleet: Fleet) -> None:
    """Of sixty checks that are in progress on two pods, all are answered though one of the pods dies."""
    dying, other = Script(), fleet.scripts[0]
    async with serving(dying, people.credentials("pod")) as pod:
        both = [Endpoint(address=pod.address, server_name=f"pod.{DOMAIN}"), fleet.endpoints[0]]
        await fleet.connect(*both)
        for script in (dying, other):
            script.gate.clear()
        calls = [asyncio.ensure_future(fleet.infer(*both)) for _ in range(60)]
        await asked(60, dying, other)
        left_behind = len(dying.asked)
        await pod.drain(0)
        other.gate.set()
        await asyncio.gather(*calls)
    assert left_behind >= 25
    assert len(other.asked) == 60


@pytest.mark.parametrize(
    ("reason", "asked", "told"),
    [
        (Reason.UNAVAILABLE, 3, Reason.POD_UNAVAILABLE),
        (Reason.OVERLOADED, 3, Reason.OVERLOADED),
        (Reason.INTERNAL, 1, Reason.POD_UNAVAILABLE),
        (Reason.INVALID_FIELD, 1, Reason.POD_UNAVAILABLE),
    ],
)
async def test_which_failures_are_tried_elsewhere(
    fleet: Fleet, reason: Reason, asked: int, told: Reason
) -> None:
    """A pod that cannot take the check is passed over; one that failed on it is not given successors; that
    all are full is told as it is.
    """

    def fail(check: CheckRequest) -> None:
        raise OstiaryError(reason, "scripted")

    for script in fleet.scripts:
        script.answer = fail  # type: ignore[assignment]
    with pytest.raises(OstiaryError) as caught:
        await fleet.infer(*fleet.endpoints)
    assert caught.value.reason is told
    assert sum(len(script.asked) for script in fleet.scripts) == asked


async def test_no_pods_at_all(fleet: Fleet) -> None:
    """A version without endpoints is the same as pods that are down."""
    with pytest.raises(OstiaryError, match="no pod of version v1"):
        await fleet.infer()


async def test_the_deadline_holds_over_all_attempts(fleet: Fleet) -> None:
    """A pod that does not answer costs the time given and no more."""
    for script in fleet.scripts:
        script.gate.clear()
    async with asyncio.timeout(5):
        with pytest.raises(OstiaryError) as caught:
            await fleet.infer(*fleet.endpoints, seconds=0.3)
    assert caught.value.reason is Reason.POD_UNAVAILABLE
    assert sum(len(script.asked) for script in fleet.scripts) == 1


async def test_a_pod_with_the_wrong_name_is_not_asked(fleet: Fleet) -> None:
    """The certificate must carry the name that the route gives."""
    wrong = Endpoint(address=fleet.endpoints[0].address, server_name=f"other.{DOMAIN}")
    with pytest.raises(OstiaryError) as caught:
        await fleet.infer(wrong)
    assert caught.value.reason is Reason.POD_UNAVAILABLE
    assert not fleet.scripts[0].asked


async def test_a_caller_that_is_no_gateway_is_refused(people: People, fleet: Fleet) -> None:
    """Pods answer gateways alone."""
    client = PodClient(people.credentials("pipeline"), random.Random(1))
    version = RouteVersion(name="v1", endpoints=fleet.endpoints[:1])
    with pytest.raises(OstiaryError, match="PERMISSION_DENIED"):
        await client.infer(TrafficRoute(versions=[version]), version, ASK, 10)
    await client.close()


async def test_a_new_certificate_is_shown_without_a_failed_call(people: People, fleet: Fleet) -> None:
    """Calls under way end on the old channel, those that follow use the new one."""
    people.issue("rotating", "/role/gateway")
    credentials = CredentialSource(people.files("rotating"))
    client = PodClient(credentials, random.Random(1))
    version = RouteVersion(name="v1", endpoints=fleet.endpoints[:1])
    route = TrafficRoute(versions=[version])
    script = fleet.scripts[0]
    script.gate.clear()
    under_way = asyncio.ensure_future(client.infer(route, version, ASK, 10))
    await script.arrived.wait()
    people.issue("rotating", "/role/gateway")
    credentials.refresh()
    script.gate.set()
    await client.infer(route, version, ASK, 10)
    await under_way
    await client.infer(route, version, ASK, 10)
    assert sorted(Counter(script.serials).values()) == [1, 2]
    await client.close()


async def test_pods_that_a_new_route_does_not_name_are_let_go(fleet: Fleet) -> None:
    """A call under way on such a pod still ends well."""
    old = fleet.scripts[0]
    old.gate.clear()
    under_way = asyncio.ensure_future(fleet.infer(fleet.endpoints[0]))
    await old.arrived.wait()
    await fleet.infer(fleet.endpoints[1])
    old.gate.set()
    await under_way
    assert len(fleet.scripts[1].asked) == 1
