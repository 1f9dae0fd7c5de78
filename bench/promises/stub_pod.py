"""A pod that sees nothing in any image: what is measured is the gateway, not what looks."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ostiary.v1 import inference_pb2
from ostiary.v1.image_pb2 import CanonicalImage
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
from ostiary.v1.observation_pb2 import BundleInfo, DetectorInfo, Observations
from ostiary.wire.authorization import AllowedIds
from ostiary.wire.call import Call, Handler
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.identity import SpiffeId
from ostiary.wire.server import Server, ServerBuilder

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"]
JUDGED = ("prohibited_ads", "nudity", "logo_infringement")
DETECTORS = ("ocr", "barcode", "hashes")


@dataclass
class StubPod:
    """What the pod was asked."""

    looks: int = 0
    detectors: list[DetectorInfo] = field(
        default_factory=lambda: [
            DetectorInfo(name=name, version="stub", completed=True) for name in DETECTORS
        ]
    )

    async def infer(self, request: InferRequest, call: Call) -> InferResponse:
        """Everything was looked at, and nothing was seen."""
        self.looks += 1
        images = CheckRequest.FromString(request.check_request).images
        seen = Observations(
            images=[
                CanonicalImage(
                    image_index=index,
                    raw_sha256=(digest := hashlib.sha256(image.data).digest()),
                    sha256=digest,
                    media_type="image/jpeg",
                    width=64,
                    height=64,
                    size_bytes=len(image.data),
                )
                for index, image in enumerate(images)
            ],
            bundle=BundleInfo(name="stub", version="1", digest=bytes(32), weights_digest=bytes(32)),
            detectors=self.detectors,
            capabilities=JUDGED,
        )
        canonical = [CanonicalBytes(image_index=at, data=image.data) for at, image in enumerate(images)]
        return InferResponse(observations=seen, canonical=canonical)

    async def status(self, request: StatusRequest, call: Call) -> StatusResponse:
        """It does not say what looks, so that nothing is reused."""
        return StatusResponse()

    async def put_gallery(self, request: PutGalleryRequest, call: Call) -> PutGalleryResponse:
        """Any gallery is fine."""
        return PutGalleryResponse(digest=request.digest)


@asynccontextmanager
async def serving(pod: StubPod, credentials: CredentialSource, gateway: SpiffeId) -> AsyncIterator[Server]:
    """The pod on a free port, for one gateway identity."""
    methods = [f"/{SERVICE.full_name}/{method.name}" for method in SERVICE.methods]
    builder = ServerBuilder(
        address="127.0.0.1:0",
        health_address=None,
        credentials=credentials,
        authorizer=AllowedIds("gateway", [gateway], methods),
    )
    handlers: dict[str, Handler] = {"Infer": pod.infer, "Status": pod.status, "PutGallery": pod.put_gallery}
    builder.add_service(SERVICE, handlers)
    server = await builder.start()
    try:
        yield server
    finally:
        await server.drain(0)
