"""Copies for versions that are watched before they serve."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from ostiary.v1.config_pb2 import Endpoint, RouteMirror, RouteVersion, TrafficRoute
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.inference_pb2 import InferResponse
from ostiary.v1.observation_pb2 import Observations
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.judgement import Judgement
from ostiary_gateway.pods import Ask
from ostiary_gateway.shadow import Compared, Outcome, Shadow

ALLOW, BLOCK = Verdict.VERDICT_ALLOW, Verdict.VERDICT_BLOCK
ALLOWED = Judgement(ALLOW, frozenset(), "shirts")
ASK = Ask("c", b"")
PODS = [Endpoint(address="127.0.0.1:1")]


def route(share: int) -> TrafficRoute:
    versions = [RouteVersion(name=name, endpoints=PODS) for name in ("v1", "v2")]
    return TrafficRoute(name="r", versions=versions, mirrors=[RouteMirror(version="v2", share=share)])


class Watched:
    """Pods that answer as told, and what was compared."""

    def __init__(self, failure: Exception | None = None, *, most: int = 32) -> None:
        self.asked: list[str] = []
        self.compared: list[Compared] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._failure = failure
        self._all_compared = asyncio.Event()
        self.shadow = Shadow(self, random.Random(5), self._compare, most=most, seconds=5)

    def _compare(self, copy: Compared) -> None:
        self.compared.append(copy)
        if len(self.compared) >= len(self.asked):
            self._all_compared.set()

    async def infer(
        self, route: TrafficRoute, version: RouteVersion, ask: Ask, seconds: float
    ) -> InferResponse:
        self.asked.append(version.name)
        await self.gate.wait()
        if self._failure:
            raise self._failure
        return InferResponse()

    def copy(
        self,
        share: int = 10_000,
        would: Judgement = ALLOWED,
        served_by: str = "v1",
        told: Judgement = ALLOWED,
    ) -> None:
        self.shadow.copy(route(share), served_by, ASK, told, lambda _: would)

    async def settle(self) -> None:
        async with asyncio.timeout(5):
            await self._all_compared.wait()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("ERROR"):
        yield


def judged(verdict: Verdict.ValueType, *flagged: str) -> Judgement:
    return Judgement(verdict, frozenset(flagged), "shirts")


COMPARED = {
    "the same": (ALLOWED, ALLOWED, Outcome.AGREES, set()),
    "flagged by one": (ALLOWED, judged(BLOCK, "qr_code"), Outcome.DIFFERS, {"qr_code"}),
    "flagged by the other": (judged(BLOCK, "qr_code"), ALLOWED, Outcome.DIFFERS, {"qr_code"}),
    "for other reasons": (
        judged(BLOCK, "qr_code", "slogan"), judged(BLOCK, "slogan", "nudity"),
        Outcome.AGREES, {"qr_code", "nudity"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "would", "outcome", "flips"), COMPARED.values(), ids=COMPARED)
async def test_what_a_copy_would_have_come_to_is_compared(
    told: Judgement, would: Judgement, outcome: Outcome, flips: set[str]
) -> None:
    """Its verdict, and what it flags, under the policy that judged the answer."""
    watched = Watched()
    watched.copy(told=told, would=would)
    await asyncio.sleep(0)
    await watched.settle()
    assert watched.compared == [Compared("v2", outcome, "shirts", frozenset(flips))]


@pytest.mark.parametrize(
    "failure",
    [OstiaryError(Reason.POD_UNAVAILABLE, "no pod"), RuntimeError("a fault of ours")],
    ids=["no pod", "anything else"],
)
async def test_a_copy_that_fails_hurts_nobody(failure: Exception) -> None:
    """It is counted, and nothing is raised anywhere."""
    watched = Watched(failure)
    watched.copy()
    await asyncio.sleep(0)
    await watched.settle()
    assert watched.compared == [Compared("v2", Outcome.FAILED, "shirts")]


async def test_nobody_waits_for_copies_and_they_are_bounded() -> None:
    """The caller goes on at once; copies beyond the bound are dropped and counted."""
    watched = Watched(most=2)
    watched.gate.clear()
    for _ in range(5):
        watched.copy()
    assert watched.compared == [Compared("v2", Outcome.DROPPED, "shirts")] * 3
    await asyncio.sleep(0)
    assert watched.asked == ["v2"] * 2
    await watched.shadow.close()


async def test_shares_are_kept() -> None:
    """A tenth is about a tenth; none is none; who served gets no copy of its own."""
    watched = Watched(most=10_000)
    for _ in range(2_000):
        watched.copy(share=1_000)
    await asyncio.sleep(0)
    assert 140 <= len(watched.asked) <= 260
    before = len(watched.asked)
    for _ in range(200):
        watched.copy(share=0)
        watched.copy(served_by="v2")
    await asyncio.sleep(0)
    assert len(watched.asked) == before
    await watched.settle()


def test_observations_are_what_is_judged() -> None:
    """The judge is given what the mirrored version saw."""

    async def run() -> list[Observations]:
        seen: list[Observations] = []
        watched = Watched()

        def judge(observations: Observations) -> Judgement:
            seen.append(observations)
            return ALLOWED

        watched.shadow.copy(route(10_000), "v1", ASK, ALLOWED, judge)
        await asyncio.sleep(0)
        await watched.settle()
        return seen

    assert asyncio.run(run()) == [Observations()]
