"""A real gRPC server over mutual TLS whose ModerationService answers from a script.

It stands where a gateway would, so that what a client makes of each answer can be shown: errors that pass,
errors that stay, uploads that are refused before or after the go. Its TLS, authorisation and statuses are the
product's own (`ostiary.wire`); only the verdicts are written down here.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from ostiary.client import Profile
from ostiary.pki import Authority, create_ca
from ostiary.v1 import moderation_pb2
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import CanonicalImage
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse, CheckStreamResponse, Go
from ostiary.wire.authorization import AllowedIds
from ostiary.wire.call import Call
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.errors import OstiaryError
from ostiary.wire.identity import SpiffeId
from ostiary.wire.server import Server, ServerBuilder

SERVICE = moderation_pb2.DESCRIPTOR.services_by_name["ModerationService"]
PIPELINE = SpiffeId("ostiary.local", "/tenant/demo/role/pipeline")
SERVER_NAME = "gateway.ostiary.local"
CANONICAL = b"canonical bytes" * 100_000
Answer = CheckResponse | OstiaryError


def verdict(value: Verdict.ValueType) -> CheckResponse:
    """A small answer with this verdict and one canonical image."""
    image = CanonicalImage(image_index=0, sha256=hashlib.sha256(CANONICAL).digest(), media_type="image/png")
    return CheckResponse(check_id="check-1", verdict=value, images=[image])


@dataclass
class Script:
    """Answers in order, the last one for ever; what came in and how."""

    answers: list[Answer]
    requests: list[CheckRequest] = field(default_factory=list)
    uploads: list[list[bytes]] = field(default_factory=list)
    peers: list[int] = field(default_factory=list)
    go: bool = True
    canonical: bytes = CANONICAL

    def answer(self, request: CheckRequest, call: Call) -> CheckResponse:
        self.requests.append(request)
        self.peers.append(call.peer.serial)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OstiaryError):
            raise answer
        return answer

    async def check(self, request: CheckRequest, call: Call) -> CheckResponse:
        return self.answer(request, call)

    async def check_stream(
        self, requests: AsyncIterator[moderation_pb2.CheckStreamRequest], call: Call
    ) -> AsyncIterator[CheckStreamResponse]:
        header = (await anext(requests)).header
        if self.go:
            yield CheckStreamResponse(go=Go(check_id="check-1"))
            pieces = [message.chunk.data async for message in requests]
            assert sum(map(len, pieces)) == sum(header.sizes)
            self.uploads.append(pieces)
        yield CheckStreamResponse(response=self.answer(header.request, call))

    async def get_canonical_image(
        self, request: moderation_pb2.GetCanonicalImageRequest, call: Call
    ) -> AsyncIterator[moderation_pb2.GetCanonicalImageResponse]:
        image = CanonicalImage(image_index=request.image_index, sha256=hashlib.sha256(CANONICAL).digest())
        yield moderation_pb2.GetCanonicalImageResponse(image=image, data=self.canonical[:1000])
        for start in range(1000, len(self.canonical), 1 << 20):
            yield moderation_pb2.GetCanonicalImageResponse(data=self.canonical[start : start + (1 << 20)])


@dataclass(frozen=True)
class Credentials:
    """An authority and the certificates it has issued."""

    authority: Authority
    root: Path

    @classmethod
    def make(cls, root: Path) -> "Credentials":
        made = cls(create_ca(root / "pki", "ostiary.local"), root)
        made.authority.issue(root / "server", SpiffeId("ostiary.local", "/role/gateway"), [SERVER_NAME])
        made.issue_client("client")
        return made

    def issue_client(self, name: str, path: str = PIPELINE.path) -> Path:
        """A folder with a client's certificate."""
        self.authority.issue(self.root / name, SpiffeId("ostiary.local", path), lifetime=timedelta(hours=1))
        return self.root / name

    def profile(self, endpoint: str, folder: Path | None = None, ca: Path | None = None) -> Profile:
        """A profile for a client's folder."""
        own = folder or self.root / "client"
        return Profile(
            endpoint=endpoint,
            ca=ca or own / "ca.pem",
            cert=own / "cert.pem",
            key=own / "key.pem",
            server_name=SERVER_NAME,
        )


@asynccontextmanager
async def serving(
    script: Script, credentials: Credentials, address: str = "127.0.0.1:0"
) -> AsyncIterator[Server]:
    """The scripted server while it runs."""
    folder = credentials.root / "server"
    source = CredentialSource(CredentialFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem"))
    methods = [f"/{SERVICE.full_name}/{method.name}" for method in SERVICE.methods]
    builder = ServerBuilder(
        address=address,
        health_address=None,
        credentials=source,
        authorizer=AllowedIds("pipeline", [PIPELINE], methods),
    )
    handlers = {
        "Check": script.check,
        "CheckStream": script.check_stream,
        "GetCanonicalImage": script.get_canonical_image,
    }
    builder.add_service(SERVICE, handlers)
    server = await builder.start()
    try:
        yield server
    finally:
        await server.drain(0)
