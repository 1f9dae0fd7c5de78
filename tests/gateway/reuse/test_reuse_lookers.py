"""What would look in a version is known only while all its pods say the same."""

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway import sights
from ostiary.v1.config_pb2 import Endpoint, RouteVersion, TrafficRoute
from ostiary.v1.inference_pb2 import StatusResponse
from ostiary.v1.observation_pb2 import BundleInfo
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.reuse.fingerprint import Looker
from ostiary_gateway.reuse.lookers import Lookers, LookerTimes

ONE = StatusResponse(bundle=sights.clean().bundle, detectors=sights.clean().detectors)
OTHER = StatusResponse(bundle=BundleInfo(name="mini", version="2", digest=b"e" * 32))
SILENT = StatusResponse()
DOWN = None


@dataclass
class Pods:
    """Pods by address, what each says, and the time."""

    says: dict[str, StatusResponse | None]
    now: float = 0.0
    version: RouteVersion = field(default_factory=RouteVersion)

    def __post_init__(self) -> None:
        endpoints = [Endpoint(address=address) for address in self.says]
        self.version.CopyFrom(RouteVersion(name="v", weight=10_000, endpoints=endpoints))
        self.lookers = Lookers(self, self, times=LookerTimes(fresh=6.0), clock=lambda: self.now)

    def route(self) -> TrafficRoute:
        return TrafficRoute(name="main", versions=[self.version])

    async def status(self, route: TrafficRoute, endpoint: Endpoint, seconds: float) -> StatusResponse:
        said = self.says[endpoint.address]
        if said is None:
            raise OstiaryError(Reason.UNAVAILABLE, "down")
        return said

    async def ask(self) -> Looker | None:
        await asyncio.gather(*self.lookers.begin_round())
        return self.lookers.known(self.version)


KNOWN = Looker.of(ONE.bundle, ONE.detectors, b"")


@pytest.mark.parametrize(
    ("says", "known"),
    [
        ([ONE, ONE], KNOWN),
        ([ONE, DOWN], KNOWN),
        ([ONE, OTHER], None),
        ([ONE, SILENT], None),
        ([SILENT], None),
        ([DOWN, DOWN], None),
    ],
    ids=["all the same", "one is down", "they differ", "one does not say", "none says", "all are down"],
)
async def test_known_where_all_agree(says: list[StatusResponse | None], known: Looker | None) -> None:
    """A pod that is down would not look; any other that might look otherwise makes the version unknown."""
    assert await Pods({f"pod-{number}:1": said for number, said in enumerate(says)}).ask() == known


async def test_nothing_is_known_before_pods_were_asked() -> None:
    """Nor once their answers are old."""
    pods = Pods({"a:1": ONE})
    assert pods.lookers.known(pods.version) is None
    assert await pods.ask() == KNOWN
    pods.now = 5.9
    assert pods.lookers.known(pods.version) == KNOWN
    pods.now = 6.0
    assert pods.lookers.known(pods.version) is None


async def test_a_pod_that_comes_back_with_another_bundle_is_heard() -> None:
    """A new answer takes the place of the old one at once."""
    pods = Pods({"a:1": ONE, "b:1": ONE})
    assert await pods.ask() == KNOWN
    pods.says["b:1"] = OTHER
    assert await pods.ask() is None
    pods.says["a:1"] = OTHER
    assert await pods.ask() == Looker.of(OTHER.bundle, [], b"")


async def test_a_pod_that_goes_is_forgotten_at_once() -> None:
    """What it said does not outlive it: without a pod that could look, nothing is known."""
    pods = Pods({"a:1": ONE})
    assert await pods.ask() == KNOWN
    pods.says["a:1"] = DOWN
    assert await pods.ask() is None


async def test_an_answer_that_contradicts_is_believed_over_what_was_said() -> None:
    """Until the pods have been asked again, nothing is known of the version."""
    pods = Pods({"a:1": ONE})
    await pods.ask()
    pods.lookers.contradicted(pods.version)
    assert pods.lookers.known(pods.version) is None
    assert await pods.ask() == KNOWN


async def test_pods_that_left_the_route_are_forgotten() -> None:
    """A version is made of the pods that it has now."""
    pods = Pods({"a:1": ONE, "b:1": OTHER})
    assert await pods.ask() is None
    pods.version.endpoints.pop()
    assert await pods.ask() == KNOWN
