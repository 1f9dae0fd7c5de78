"""InferenceService over mutual TLS: who may call, what is refused, how busy it says it is."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from moderation.pod.galleries import Lookup, mark, put
from moderation.pod.parts import DECLARATION, RednessEngine, card, check
from ostiary.pki import create_ca
from ostiary.v1 import inference_pb2
from ostiary.v1.inference_pb2 import InferRequest, InferResponse, PutGalleryRequest, StatusRequest
from ostiary.v1.inference_pb2_grpc import InferenceServiceStub
from ostiary.wire.authorization import AllowedIds
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.errors import Reason, from_rpc_error
from ostiary.wire.identity import SpiffeId
from ostiary.wire.server import ServerBuilder
from ostiary_moderation.decode.pool import DecodePool
from ostiary_moderation.detectors.runner import GalleryRunner
from ostiary_moderation.gallery import Galleries
from ostiary_moderation.gauges import Gauges
from ostiary_moderation.inspection import Inspector
from ostiary_moderation.service import InferenceService
from ostiary_moderation.turns import TurnLimits, Turns

if TYPE_CHECKING:
    from ostiary.v1.inference_pb2_grpc import InferenceServiceAsyncStub

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"]


@dataclass(frozen=True)
class Running:
    """A served InferenceService that looks at one check at a time and lets one wait."""

    address: str
    stub: "InferenceServiceAsyncStub"
    channel: grpc.aio.Channel
    engine: RednessEngine

    def infer(self, request: InferRequest | None = None) -> "asyncio.Task[InferResponse]":
        """Start a call."""
        request = request or infer_request()

        async def call() -> InferResponse:
            return await self.stub.Infer(request)

        return asyncio.create_task(call())


def infer_request() -> InferRequest:
    return InferRequest(check_id="1", check_request=check([card("red")]).SerializeToString())


def credentials(folder: Path) -> CredentialSource:
    return CredentialSource(CredentialFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of a pod, a gateway and a stranger."""
    folder = tmp_path_factory.mktemp("site")
    authority = create_ca(folder / "pki", "pod.test")
    for role in ("pod", "gateway", "stranger"):
        authority.issue(folder / role, SpiffeId("pod.test", f"/role/{role}"), dns=["localhost"])
    return folder


@pytest.fixture
async def running(site: Path) -> AsyncIterator[Running]:
    engine = RednessEngine()
    async with DecodePool(views=engine.view_spec) as decoders:
        comparer = GalleryRunner(Lookup())
        galleries = Galleries([comparer])
        inspector = Inspector(decoders, [], engine, DECLARATION, galleries)
        turns = Turns(TurnLimits(max_in_flight=1, max_queued=1))
        service = InferenceService(inspector, engine, DECLARATION, [], Gauges(), turns, galleries)
        builder = ServerBuilder(
            address="localhost:0",
            health_address=None,
            credentials=credentials(site / "pod"),
            authorizer=AllowedIds(
                "gateway",
                [SpiffeId("pod.test", "/role/gateway")],
                [f"/{SERVICE.full_name}/{method.name}" for method in SERVICE.methods],
            ),
        )
        builder.add_service(SERVICE, service.handlers())
        server = await builder.start()
        gateway = credentials(site / "gateway")
        async with open_channel(server.address, gateway, server_name="localhost") as channel:
            yield Running(server.address, InferenceServiceStub(channel), channel, engine)
        engine.hold.set()
        await server.drain(1)
        comparer.close()


async def reason(call: "asyncio.Task[InferResponse]") -> Reason:
    """Return why a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return from_rpc_error(failure.value).reason


async def test_a_check_is_looked_at(running: Running) -> None:
    """Observations, canonical bytes and the time in the queue come back."""
    response = await running.infer()
    assert response.observations.scores[0].probability == 1.0
    assert response.canonical[0].data.startswith(b"\x89PNG")
    assert "queue" in {timing.stage for timing in response.timings}


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff", b"", check([b"x"] * 9).SerializeToString()],
    ids=["junk", "no image", "nine images"],
)
async def test_what_is_no_check_is_refused(running: Running, data: bytes) -> None:
    """Bytes that are no check of one to eight images are the caller's fault."""
    assert await reason(running.infer(InferRequest(check_request=data))) is Reason.INVALID_FIELD


async def test_a_failing_model_is_told_to_the_gateway(running: Running) -> None:
    """UNAVAILABLE: the gateway may try another pod, and no verdict is made up."""
    running.engine.error = ValueError("shape")
    assert await reason(running.infer()) is Reason.UNAVAILABLE


async def test_status_counts_what_waits(running: Running) -> None:
    """One check is looked at, the next waits, a third is refused with a time to come back."""
    running.engine.hold.clear()
    first = running.infer()
    await running.engine.entered.get()
    second = running.infer()
    while (status := await running.stub.Status(StatusRequest())).queued == 0:
        pass
    assert (status.in_flight, status.queued) == (1, 1)
    assert await reason(running.infer()) is Reason.OVERLOADED
    running.engine.hold.set()
    await asyncio.gather(first, second)
    status = await running.stub.Status(StatusRequest())
    assert (status.in_flight, status.queued) == (0, 0)


async def test_status_says_what_is_loaded(running: Running) -> None:
    """Bundle, capabilities, the engine's load, and memory; nothing about a GPU where there is none."""
    engine_says = running.engine.load()
    status = await running.stub.Status(StatusRequest())
    assert (status.images_waiting, status.descriptions_running) == (engine_says.waiting, engine_says.running)
    assert status.memory_splits == engine_says.memory_splits
    assert status.bundle == DECLARATION.bundle
    assert list(status.capabilities) == list(DECLARATION.capabilities)
    assert 0 < status.memory_used_bytes < status.memory_total_bytes


async def test_a_caller_that_gives_up_frees_the_pod(running: Running) -> None:
    """Cancelled and expired calls stop the look and give up their turn."""
    running.engine.hold.clear()
    cancelled = running.infer()
    await running.engine.entered.get()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await running.stub.Infer(infer_request(), timeout=0.3)
    assert from_rpc_error(failure.value).reason is Reason.DEADLINE_EXPIRED
    running.engine.hold.set()
    assert (await running.infer()).observations.images
    assert running.engine.cancelled == 2


async def test_a_check_whose_time_is_up_in_the_queue_is_not_started(running: Running) -> None:
    """It is answered DEADLINE_EXPIRED, and the model never hears of it."""
    running.engine.hold.clear()
    first = running.infer()
    await running.engine.entered.get()
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await running.stub.Infer(infer_request(), timeout=0.3)
    assert from_rpc_error(failure.value).reason is Reason.DEADLINE_EXPIRED
    running.engine.hold.set()
    await first
    assert len(running.engine.requests) == 1
    assert (await running.stub.Status(StatusRequest())).queued == 0


async def test_the_callers_deadline_is_the_models(running: Running) -> None:
    """What is left of the call's time is what the model is given."""
    await running.stub.Infer(infer_request(), timeout=50)
    deadline = running.engine.requests[-1].deadline
    assert deadline is not None
    assert 30 < deadline - time.monotonic() < 50


async def test_a_gallery_is_put_and_shown(running: Running) -> None:
    """The answer says what was refused; the status, what is in use and what can be judged with it."""
    assert (await running.stub.Status(StatusRequest())).gallery_digest == b""
    request = put(mark("larkfield"), mark("x", "x"))
    response = await running.stub.PutGallery(request)
    assert (response.digest, list(response.refused)) == (request.digest, ["x-word: too short"])
    status = await running.stub.Status(StatusRequest())
    assert status.gallery_digest == request.digest
    assert list(status.capabilities) == ["logo_infringement", "prohibited_ads", "redness"]
    assert [detector.name for detector in status.detectors] == ["lookup"]
    assert (await running.infer()).observations.gallery_digest == request.digest


async def test_a_gallery_that_is_not_what_was_sent_is_refused(running: Running) -> None:
    """INVALID_ARGUMENT for another digest and for junk, and the gallery in use stays."""
    request = put(mark("larkfield"))
    await running.stub.PutGallery(request)
    send_bytes = running.channel.unary_unary(f"/{SERVICE.full_name}/PutGallery")
    other = PutGalleryRequest(digest=request.digest, marks=[mark("quayside")])
    for body in (other.SerializeToString(), b"\xff\xff"):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await send_bytes(body)
        assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await running.stub.Status(StatusRequest())).gallery_digest == request.digest


async def test_only_gateways_may_call(running: Running, site: Path) -> None:
    """A certificate of the same authority with another ID is refused on every method."""
    stranger = credentials(site / "stranger")
    async with open_channel(running.address, stranger, server_name="localhost") as channel:
        stub: InferenceServiceAsyncStub = InferenceServiceStub(channel)
        calls = (
            stub.Infer(infer_request()),
            stub.Status(StatusRequest()),
            stub.PutGallery(put(mark("larkfield"))),
        )
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await call
            assert from_rpc_error(failure.value).reason is Reason.PERMISSION_DENIED
    assert (await running.stub.Status(StatusRequest())).gallery_digest == b""
