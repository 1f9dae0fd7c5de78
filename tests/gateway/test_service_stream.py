"""CheckStream, over mutual TLS: the header first, the server's go, then the images."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest

from gateway.scripted_pod import Script, canonical_bytes
from gateway.site import Running
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import (
    CheckRequest,
    CheckResponse,
    CheckStreamHeader,
    CheckStreamRequest,
    CheckStreamResponse,
    ImageChunk,
)
from ostiary.v1.observation_pb2 import PolicyState
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error
from ostiary_gateway.upload import receive_header

MIB = 1 << 20
Call = grpc.aio.StreamStreamCall[CheckStreamRequest, CheckStreamResponse]


def header(sizes: Sequence[int], **fields: object) -> CheckStreamRequest:
    request = CheckRequest(images=[Image(name=f"{index}.jpg") for index in range(len(sizes))], **fields)  # type: ignore[arg-type]
    return CheckStreamRequest(header=CheckStreamHeader(request=request, sizes=sizes))


def chunks(*images: bytes, size: int = MIB) -> list[CheckStreamRequest]:
    return [
        CheckStreamRequest(chunk=ImageChunk(data=image[start : start + size]))
        for image in images
        for start in range(0, len(image), size)
    ]


async def converse(
    running: Running, first: CheckStreamRequest, rest: Sequence[CheckStreamRequest], who: str = "pipeline"
) -> tuple[str, CheckResponse]:
    """Send the header, wait for the go, send the rest: the check id of the go, and the answer."""
    call: Call = running.as_(who).CheckStream(timeout=20)
    await call.write(first)
    reply = await call.read()
    assert isinstance(reply, CheckStreamResponse)
    if reply.WhichOneof("message") == "response":
        return "", reply.response
    go = reply.go.check_id
    for message in rest:
        await call.write(message)
    await call.done_writing()
    answer = await call.read()
    assert isinstance(answer, CheckStreamResponse)
    assert answer.WhichOneof("message") == "response"
    return go, answer.response


async def refusal(running: Running, first: CheckStreamRequest, *rest: CheckStreamRequest) -> OstiaryError:
    call: Call = running.as_("pipeline").CheckStream(_all([first, *rest]), timeout=20)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _drain(call)
    return from_rpc_error(caught.value)


async def _drain(call: Call) -> None:
    async for _ in call:
        pass


async def _all(messages: Sequence[CheckStreamRequest]) -> AsyncIterator[CheckStreamRequest]:
    for message in messages:
        yield message


async def test_large_images_pass_whole(running: Running, script: Script) -> None:
    """What the pod gets is what was sent, byte for byte; the check has the id that the go named."""
    images = [b"a" * (6 * MIB + 5), b"", b"b" * 10]
    go, answer = await converse(running, header([len(image) for image in images]), chunks(*images))
    assert answer.verdict == Verdict.VERDICT_ALLOW
    assert answer.check_id == go == script.asked[0].check_id
    sent = CheckRequest.FromString(script.asked[0].check_request)
    assert [image.data for image in sent.images] == images
    assert [image.name for image in sent.images] == ["0.jpg", "1.jpg", "2.jpg"]
    assert answer.images[0].sha256 == hashlib.sha256(canonical_bytes(images[0])).digest()


async def test_an_image_above_the_limit_holds_without_a_go(running: Running, script: Script) -> None:
    """The header was enough to decide: nothing is uploaded, nothing is asked of a pod, all is recorded."""
    go, answer = await converse(running, header([10, 25_000_001]), [])
    assert not go
    assert answer.verdict == Verdict.VERDICT_HOLD
    assert [(reason.code, reason.image_index) for reason in answer.hold_reasons] == [
        ("unavailable", 0),
        ("too_large", 1),
    ]
    assert {result.state for result in answer.policies} == {PolicyState.POLICY_STATE_UNREADABLE}
    assert len(answer.receipt.leaf_hash) == 32
    assert not script.asked


async def test_the_text_beside_an_image_too_large_is_judged(running: Running) -> None:
    """A contact in the title blocks all the same."""
    _, answer = await converse(running, header([25_000_001], listing=Listing(title="加微信领券")), [])
    assert answer.verdict == Verdict.VERDICT_BLOCK


async def test_a_repeated_stream_gets_the_recorded_answer(running: Running, script: Script) -> None:
    """Idempotency holds for streams as for single messages, also where nothing was uploaded."""
    for sizes, rest in (([4], chunks(b"data")), ([25_000_001], [])):
        first = header(sizes, idempotency_key=f"key-{sizes[0]}")
        _, before = await converse(running, first, rest)
        _, after = await converse(running, first, rest)
        assert (before.replayed, after.replayed) == (False, True)
        assert before.check_id == after.check_id
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("messages", "reason", "words"),
    [
        (chunks(b"x"), Reason.MISSING_FIELD, "send the header first"),
        ([header([4]), *chunks(b"12345")], Reason.INVALID_FIELD, "a chunk goes beyond"),
        ([header([2, 2]), *chunks(b"1234")], Reason.INVALID_FIELD, "a chunk goes beyond"),
        ([header([4]), *chunks(b"123")], Reason.INVALID_FIELD, "ended within image 0"),
        ([header([4]), header([4])], Reason.INVALID_FIELD, "only chunks may follow"),
        ([header([4]), *chunks(b"")], Reason.INVALID_FIELD, "ended within image 0"),
        ([header([4]), CheckStreamRequest(chunk=ImageChunk())], Reason.INVALID_FIELD, "none of them empty"),
        ([header([3 * MIB]), *chunks(b"x" * (2 * MIB), size=2 * MIB)], Reason.INVALID_FIELD, "send smaller"),
        ([header([])], Reason.INVALID_FIELD, "one to 8 images"),
    ],
    ids=[
        "no header",
        "too many bytes",
        "a chunk over two images",
        "too few bytes",
        "two headers",
        "no chunk",
        "an empty chunk",
        "a large chunk",
        "no images",
    ],
)
async def test_a_stream_that_breaks_the_rules(
    running: Running, script: Script, messages: list[CheckStreamRequest], reason: Reason, words: str
) -> None:
    """The caller is told what was wrong; no pod hears of it."""
    error = await refusal(running, *messages)
    assert (error.reason, words in error.message) == (reason, True), error.message
    assert not script.asked


async def test_who_may_not_stream(running: Running) -> None:
    """The refusal comes before anything is read."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await converse(running, header([4]), [], who="auditor")
    assert from_rpc_error(caught.value).reason is Reason.PERMISSION_DENIED


async def test_a_caller_who_falls_silent_is_let_go() -> None:
    """A place is not held for somebody who sends nothing."""

    async def silence() -> AsyncIterator[CheckStreamRequest]:
        await asyncio.Event().wait()
        yield CheckStreamRequest()

    with pytest.raises(OstiaryError) as caught:
        await receive_header(silence(), 0.01)
    assert caught.value.reason is Reason.DEADLINE_EXPIRED
