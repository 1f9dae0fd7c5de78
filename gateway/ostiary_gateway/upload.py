"""Receives the chunks of a streamed check."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from ostiary.v1.moderation_pb2 import CheckStreamHeader, CheckStreamRequest
from ostiary.wire.errors import OstiaryError, Reason, invalid_field, missing_field

MAX_CHUNK_BYTES = 1024 * 1024


async def receive_header(requests: AsyncIterator[CheckStreamRequest], seconds: float) -> CheckStreamHeader:
    """The header, which must be the first message and come within `seconds`.

    Raises:
        OstiaryError: MISSING_FIELD, or DEADLINE_EXPIRED where nothing comes.
    """
    first = await _receive(requests, seconds)
    if first is None or first.WhichOneof("message") != "header":
        raise missing_field("header", "send the header first, then wait for the server's go")
    return first.header


async def receive_images(
    requests: AsyncIterator[CheckStreamRequest], sizes: Sequence[int], seconds: float
) -> list[bytes]:
    """The images, each of exactly its declared size.

    Args:
        requests: what the caller sends after the go.
        sizes: declared sizes in bytes, in order.
        seconds: longest silence between two messages.

    Raises:
        OstiaryError: INVALID_FIELD where the chunks do not make up the images; DEADLINE_EXPIRED where the
            caller falls silent.
    """
    return [await _receive_image(requests, index, size, seconds) for index, size in enumerate(sizes)]


async def _receive_image(
    requests: AsyncIterator[CheckStreamRequest], index: int, size: int, seconds: float
) -> bytes:
    image = bytearray()
    while len(image) < size:
        data = await _receive_chunk(requests, index, seconds)
        if len(image) + len(data) > size:
            raise invalid_field(
                "chunk.data", f"image {index} was declared with {size:,} bytes; a chunk goes beyond them"
            )
        image += data
    return bytes(image)


async def _receive_chunk(requests: AsyncIterator[CheckStreamRequest], index: int, seconds: float) -> bytes:
    message = await _receive(requests, seconds)
    if message is None:
        raise invalid_field("chunk", f"the stream ended within image {index}: send all that was declared")
    if message.WhichOneof("message") != "chunk" or not message.chunk.data:
        raise invalid_field("chunk", "after the header only chunks may follow, none of them empty")
    if len(message.chunk.data) > MAX_CHUNK_BYTES:
        raise invalid_field("chunk.data", f"at most {MAX_CHUNK_BYTES:,} bytes a chunk: send smaller ones")
    return message.chunk.data


async def _receive(requests: AsyncIterator[CheckStreamRequest], seconds: float) -> CheckStreamRequest | None:
    """The next message; None at the end of the stream."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(requests, None)
    except TimeoutError as error:
        raise OstiaryError(
            Reason.DEADLINE_EXPIRED, f"Nothing came for {seconds:g} s: send without long pauses"
        ) from error
