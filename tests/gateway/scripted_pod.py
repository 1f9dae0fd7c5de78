"""A real gRPC server over mutual TLS whose InferenceService answers from a script.

It stands where a pod would, so that what the gateway makes of each answer, and of none, can be shown without
a model. Its TLS, authorisation and statuses are the product's own (`ostiary.wire`); only what was seen is
written down here.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway import sights
from ostiary.v1 import inference_pb2
from ostiary.v1.inference_pb2 import (
    CanonicalBytes,
    InferRequest,
    InferResponse,
    PutGalleryRequest,
    PutGalleryResponse,
    StatusRequest,
    StatusResponse,
)
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.observation_pb2 import DetectorInfo, Observations, StageTiming
from ostiary.wire.authorization import AllowedIds
from ostiary.wire.call import Call
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.errors import OstiaryError
from ostiary.wire.gallery import gallery_digest
from ostiary.wire.identity import SpiffeId
from ostiary.wire.server import Server, ServerBuilder, ServerLimits

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"]
GATEWAY = SpiffeId("ostiary.local", "/role/gateway")


def canonical_bytes(raw: bytes) -> bytes:
    """What the scripted pod calls the canonical form of `raw`."""
    return b"canonical:" + raw


def blurred_bytes(raw: bytes) -> bytes:
    """What the scripted pod calls the blurred rendition of `raw`."""
    return b"\xff\xd8\xff" + b"blurred:" + hashlib.sha256(raw).digest()


def truthful(check: CheckRequest, seen: Observations | None = None) -> InferResponse:
    """A sound answer about the images that were sent, with `seen` beside it."""
    raws = [image.data for image in check.images]
    observations = sights.clean(len(raws))
    for image, raw in zip(observations.images, raws, strict=True):
        image.raw_sha256 = hashlib.sha256(raw).digest()
        image.sha256 = hashlib.sha256(canonical_bytes(raw)).digest()
    observations.MergeFrom(seen or Observations())
    data = [
        CanonicalBytes(image_index=index, data=canonical_bytes(raw), blurred=blurred_bytes(raw))
        for index, raw in enumerate(raws)
    ]
    return InferResponse(observations=observations, canonical=data, timings=[StageTiming(stage="decode")])


Answer = Callable[[CheckRequest], InferResponse]


@dataclass
class ScriptedGallery:
    """How a pod with a logo detector, or without one, takes galleries."""

    compares: bool = True
    digest: bytes = b""
    refused: tuple[str, ...] = ()
    failure: OstiaryError | None = None
    others: bytes = b""
    asked: int = 0
    put: list[PutGalleryRequest] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()


@dataclass
class Script:
    """What a pod answers, what it was asked, and a gate that holds its answers back."""

    answer: Answer = truthful
    asked: list[InferRequest] = field(default_factory=list)
    serials: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gallery: ScriptedGallery = field(default_factory=ScriptedGallery)
    holds: Observations | None = None
    """What Status says looks, as observations would; None: it does not say."""

    def __post_init__(self) -> None:
        self.gate.set()

    async def infer(self, request: InferRequest, call: Call) -> InferResponse:
        self.asked.append(request)
        self.serials.append(call.peer.serial)
        self.arrived.set()
        await self.gate.wait()
        return self.answer(CheckRequest.FromString(request.check_request))

    async def status(self, request: StatusRequest, call: Call) -> StatusResponse:
        self.gallery.asked += 1
        if self.holds is not None:
            seen = self.holds
            return StatusResponse(
                bundle=seen.bundle, detectors=seen.detectors, gallery_digest=seen.gallery_digest
            )
        info = DetectorInfo(name="logo", completed=True, policies=["logo_infringement"])
        detectors = [info] if self.gallery.compares else []
        return StatusResponse(detectors=detectors, gallery_digest=self.gallery.digest)

    async def put_gallery(self, request: PutGalleryRequest, call: Call) -> PutGalleryResponse:
        self.gallery.put.append(request)
        await self.gallery.gate.wait()
        if self.gallery.failure is not None:
            raise self.gallery.failure
        assert gallery_digest(request.marks) == request.digest
        self.gallery.digest = self.gallery.others or request.digest
        return PutGalleryResponse(digest=self.gallery.digest, refused=self.gallery.refused)


@asynccontextmanager
async def serving(
    script: Script, credentials: CredentialSource, max_receive_bytes: int = 220_000_000
) -> AsyncIterator[Server]:
    """The server, on a free port."""
    methods = [f"/{SERVICE.full_name}/{method.name}" for method in SERVICE.methods]
    builder = ServerBuilder(
        address="127.0.0.1:0",
        health_address=None,
        credentials=credentials,
        authorizer=AllowedIds("gateway", [GATEWAY], methods),
        limits=ServerLimits(max_receive_bytes=max_receive_bytes, max_send_bytes=220_000_000),
    )
    handlers = {"Infer": script.infer, "Status": script.status, "PutGallery": script.put_gallery}
    builder.add_service(SERVICE, handlers)
    server = await builder.start()
    try:
        yield server
    finally:
        script.gate.set()
        script.gallery.gate.set()
        await server.drain(0)
