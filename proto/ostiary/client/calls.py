"""Single attempts of the gateway's methods: what goes over the wire, without retries."""

import asyncio
import hashlib
from typing import TYPE_CHECKING

import grpc

from ostiary.client.request import chunks, fits_one_message, stream_header
from ostiary.v1.image_pb2 import CanonicalImage
from ostiary.v1.moderation_pb2 import (
    CheckRequest,
    CheckResponse,
    CheckStreamRequest,
    CheckStreamResponse,
    GetCanonicalImageRequest,
    ImageChunk,
)
from ostiary.wire.errors import OstiaryError, Reason

if TYPE_CHECKING:
    from ostiary.v1.moderation_pb2_grpc import ModerationServiceAsyncStub

Stream = grpc.aio.StreamStreamCall[CheckStreamRequest, CheckStreamResponse]


async def check(stub: "ModerationServiceAsyncStub", request: CheckRequest, seconds: float) -> CheckResponse:
    """One attempt within `seconds`: by Check where the request fits 4 MiB, otherwise by CheckStream."""
    if fits_one_message(request):
        return await stub.Check(request, timeout=seconds)
    call = stub.CheckStream(timeout=seconds)
    try:
        return await _converse(call, request)
    finally:
        call.cancel()


async def _converse(call: Stream, request: CheckRequest) -> CheckResponse:
    await _write(call, CheckStreamRequest(header=stream_header(request)))
    answer = await _read(call)
    if answer.WhichOneof("message") == "go":
        for piece in chunks(request):
            if not await _write(call, CheckStreamRequest(chunk=ImageChunk(data=piece))):
                break
        else:
            await call.done_writing()
        answer = await _read(call)
    if answer.WhichOneof("message") != "response":
        raise OstiaryError(Reason.INTERNAL, "the server answered the stream with neither a go nor a response")
    return answer.response


async def _write(call: Stream, message: CheckStreamRequest) -> bool:
    """False where the server has already answered: what it said is then to be read."""
    try:
        await call.write(message)
    except asyncio.InvalidStateError:
        return False
    return True


async def _read(call: Stream) -> CheckStreamResponse:
    answer = await call.read()
    if isinstance(answer, CheckStreamResponse):
        return answer
    code = await call.code()
    raise OstiaryError(Reason.INTERNAL, f"the server ended the stream without an answer ({code.name})")


async def canonical_image(
    stub: "ModerationServiceAsyncStub", check_id: str, index: int, seconds: float
) -> tuple[CanonicalImage, bytes]:
    """One attempt within `seconds`: what the image is, and its bytes.

    Raises:
        OstiaryError: INTERNAL, where the bytes are not those that the answer's own hash names.
    """
    request = GetCanonicalImageRequest(check_id=check_id, image_index=index)
    image, data = CanonicalImage(), bytearray()
    async for part in stub.GetCanonicalImage(request, timeout=seconds):
        if part.HasField("image"):
            image = part.image
        data += part.data
    if hashlib.sha256(data).digest() != image.sha256:
        words = f"image {index} of check {check_id} came damaged: its bytes do not have the SHA-256 announced"
        raise OstiaryError(Reason.INTERNAL, words)
    return image, bytes(data)
