"""The server over real TLS: the four kinds of call, and what it answers when something is wrong."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from structlog.testing import capture_logs

from bench import forge
from ostiary.wire.errors import FieldViolation, OstiaryError, Reason, from_rpc_error
from ostiary.wire.limits import ServerLimits
from ostiary.wire.server import Body, Call, raw, unread
from wire.kit import CLIENT_ID, ECHO, HANDLERS, Site, failure, method


def text(value: str) -> StringValue:
    return StringValue(value=value)


async def test_four_kinds(site: Site) -> None:
    """Each kind of call carries requests to its handler and responses back."""
    async with site.serving() as server, site.channel(server) as channel:
        assert (await method(channel, "Unary")(text("a"))).value == "a:tester"
        assert [r.value async for r in method(channel, "Expand")(text("abc"))] == ["a", "b", "c"]
        assert (await method(channel, "Collect")(iter([text("a"), text("b")]))).value == "ab"
        call = method(channel, "Chat")()
        for letter in ("a", "b"):
            await call.write(text(letter))
            assert (await call.read()).value == letter.upper()
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_handler_learns_who_calls(site: Site) -> None:
    """A handler gets the method, the peer of the certificate, the principal, and textual metadata alone."""
    seen: list[Call] = []

    async def remember(request: StringValue, call: Call) -> StringValue:
        seen.append(call)
        return request

    async with site.serving({"Unary": remember}) as server, site.channel(server) as channel:
        await method(channel, "Unary")(text("a"), metadata=(("x-word", "w"), ("x-bin", b"\x00")), timeout=60)
    (call,) = seen
    assert call.method == "/wire.kit.Echo/Unary"
    assert call.peer.id == call.principal.id == CLIENT_ID
    assert call.metadata["x-word"] == "w"
    assert "x-bin" not in call.metadata
    assert 55 < (call.remaining() or 0) < 60


async def test_raw_handler(site: Site) -> None:
    """A raw handler gets the request's bytes as sent, well-formed or not, and may answer bytes."""

    async def echo(data: bytes, call: Call) -> bytes:
        return data

    async with site.serving({"Unary": raw(echo)}) as server, site.channel(server) as channel:
        assert await channel.unary_unary("/wire.kit.Echo/Unary")(b"\xff\xff") == b"\xff\xff"


async def test_unread_handler(site: Site) -> None:
    """An unread handler can refuse before the body is received, however large it is, or read it."""

    async def choosy(body: Body, call: Call) -> bytes:
        if call.metadata.get("room") != "yes":
            raise OstiaryError(Reason.OVERLOADED, "full")
        return await body.read()

    async with site.serving({"Unary": unread(choosy)}) as server, site.channel(server) as channel:
        call = channel.unary_unary("/wire.kit.Echo/Unary")
        assert (await failure(call(bytes(8 * 1024 * 1024)))).reason is Reason.OVERLOADED
        assert await call(b"\xff", metadata=(("room", "yes"),)) == b"\xff"
    with pytest.raises(ValueError, match="takes a stream"):
        site.builder().add_service(ECHO, {"Chat": unread(choosy)})


async def test_rich_errors(site: Site) -> None:
    """What a handler raises arrives with reason, violations, retry delay and metadata."""
    sent = OstiaryError(
        Reason.RATE_LIMITED,
        "慢一点",
        violations=[FieldViolation("images[0]", "send fewer")],
        retry_after=1.5,
        metadata={"limit": "10"},
    )

    async def refuse(request: StringValue, call: Call) -> StringValue:
        raise sent

    async with site.serving({"Unary": refuse}) as server, site.channel(server) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            await method(channel, "Unary")(text("a"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    got = from_rpc_error(caught.value)
    assert (got.reason, got.message, got.violations, got.retry_after, got.metadata) == (
        sent.reason,
        sent.message,
        sent.violations,
        sent.retry_after,
        sent.metadata,
    )


async def test_error_after_responses(site: Site) -> None:
    """A stream that fails half-way delivers what came before, then the error."""

    async def half(request: StringValue, call: Call) -> AsyncIterator[StringValue]:
        yield text("one")
        raise OstiaryError(Reason.NOT_FOUND, "no more")

    async with site.serving({"Expand": half}) as server, site.channel(server) as channel:
        call = method(channel, "Expand")(text("x"))
        assert (await call.read()).value == "one"
        with pytest.raises(grpc.RpcError) as caught:
            await call.read()
    assert from_rpc_error(caught.value).reason is Reason.NOT_FOUND


async def test_internal_errors_leak_nothing(site: Site) -> None:
    """An exception that is no OstiaryError becomes INTERNAL; its text stays in the log, in one event."""

    async def crash(request: StringValue, call: Call) -> StringValue:
        raise KeyError("secret listing")

    with capture_logs() as logs:
        async with site.serving({"Unary": crash}) as server, site.channel(server) as channel:
            error = await failure(method(channel, "Unary")(text("a")))
    assert error.reason is Reason.INTERNAL
    assert "secret" not in error.message
    failed = [event for event in logs if event["event"] == "rpc.failed"]
    assert [(event["method"], str(event["exc_info"])) for event in failed] == [
        ("/wire.kit.Echo/Unary", "'secret listing'")
    ]


@pytest.mark.parametrize("name", ["Unary", "Expand"], ids=["one answer", "answers"])
async def test_refused_call_is_forgotten(site: Site, name: str) -> None:
    """A refused call leaves memory at once: the garbage collector's pauses would be pauses of all calls."""
    gone = asyncio.Event()

    async def one(request: StringValue, call: Call) -> StringValue:
        weakref.finalize(call, gone.set)
        raise OstiaryError(Reason.OVERLOADED, "too much")

    async def several(request: StringValue, call: Call) -> AsyncIterator[StringValue]:
        yield await one(request, call)

    handlers = {"Unary": one, "Expand": several}
    async with site.serving(handlers) as server, site.channel(server) as channel:
        gc.disable()
        try:
            answer = method(channel, name)(text("a"))
            await failure(answer if name == "Unary" else answer.read())
            await asyncio.wait_for(gone.wait(), 10)
        finally:
            gc.enable()


async def test_inner_timeout_is_internal(site: Site) -> None:
    """A handler's own TimeoutError is its fault, not the caller's deadline."""

    async def crash(request: StringValue, call: Call) -> StringValue:
        raise TimeoutError

    async with site.serving({"Unary": crash}) as server, site.channel(server) as channel:
        assert (await failure(method(channel, "Unary")(text("a"), timeout=30))).reason is Reason.INTERNAL


async def test_unimplemented(site: Site) -> None:
    """A method without handler, and one of no service, answer UNIMPLEMENTED in words."""
    async with site.serving() as server, site.channel(server) as channel:
        later = await failure(method(channel, "Later")(text("a")))
        unknown = await failure(channel.unary_unary("/wire.kit.Echo/Nothing")(b""))
    assert (later.reason, "not implement" in later.message) == (Reason.UNIMPLEMENTED, True)
    assert (unknown.reason, "no method" in unknown.message) == (Reason.UNIMPLEMENTED, True)


async def test_malformed_request(site: Site) -> None:
    """Bytes that are no message of the type become INVALID_FIELD, also in the middle of a stream."""
    async with site.serving() as server, site.channel(server) as channel:
        unary = await failure(channel.unary_unary("/wire.kit.Echo/Unary")(b"\xff"))
        stream = await failure(channel.stream_unary("/wire.kit.Echo/Collect")(iter([b"\x0a\x01a", b"\xff"])))
    for error in (unary, stream):
        assert error.reason is Reason.INVALID_FIELD
        assert [violation.field for violation in error.violations] == ["request"]


async def test_no_request(site: Site) -> None:
    """A unary method that is called with an empty stream says what it takes."""
    async with site.serving() as server, site.channel(server) as channel:
        error = await failure(channel.stream_unary("/wire.kit.Echo/Unary")(iter(())))
    assert (error.reason, "exactly one" in error.message) == (Reason.MISSING_FIELD, True)


async def test_denied_before_parsing(site: Site) -> None:
    """A caller without permission is refused before its body is looked at, however malformed."""
    stranger = site.client(forge.leaf(site.root, "spiffe://wire.test/role/stranger"))
    with capture_logs() as logs:
        async with site.serving() as server, site.channel(server, stranger) as channel:
            error = await failure(channel.unary_unary("/wire.kit.Echo/Unary")(b"\xff"))
    assert error.reason is Reason.PERMISSION_DENIED
    assert [(event["event"], event["error"]) for event in logs] == [("rpc.refused", error.message)]
    assert "spiffe://wire.test/role/stranger may not call" in error.message


async def test_denied_upload_gets_the_right_code(site: Site) -> None:
    """Large uploads that are refused unread all see PERMISSION_DENIED, even those above the size limit."""
    stranger = site.client(forge.leaf(site.root, "spiffe://wire.test/role/stranger"))
    body = bytes(8 * 1024 * 1024)
    async with site.serving() as server, site.channel(server, stranger) as channel:
        calls = [failure(channel.unary_unary("/wire.kit.Echo/Unary")(body)) for _ in range(8)]
        errors = await asyncio.gather(*calls)
    assert {error.reason for error in errors} == {Reason.PERMISSION_DENIED}


async def test_denied_stream_that_sends_its_header_first(site: Site) -> None:
    """A stream that waits for the server before it sends more always sees PERMISSION_DENIED.

    One that uploads without waiting would mostly see INTERNAL: its client loses the status when the server
    ends the stream under it.
    """
    stranger = site.client(forge.leaf(site.root, "spiffe://wire.test/role/stranger"))
    async with site.serving() as server, site.channel(server, stranger) as channel:
        for _ in range(50):
            call = method(channel, "Chat")()
            # A refusal that is faster than the write shows there first, without its reason.
            with suppress(asyncio.InvalidStateError):
                await call.write(text("header"))
            with pytest.raises(grpc.RpcError) as caught:
                await call.read()
            assert from_rpc_error(caught.value).reason is Reason.PERMISSION_DENIED


async def test_oversize(site: Site) -> None:
    """A request above the limit becomes TOO_LARGE that names CheckStream; the server stays well."""
    limits = ServerLimits(max_receive_bytes=1000)
    async with site.serving(limits=limits) as server, site.channel(server) as channel:
        error = await failure(method(channel, "Unary")(text("x" * 2000)))
        assert (await method(channel, "Unary")(text("x" * 900))).value.endswith(":tester")
    assert (error.reason, "CheckStream" in error.message) == (Reason.TOO_LARGE, True)


async def test_deadline_leaves_time_to_report(site: Site) -> None:
    """A handler that outlasts the trimmed deadline is cancelled, and the caller hears why in time."""
    cancelled = asyncio.Event()

    async def hang(request: StringValue, call: Call) -> StringValue:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with (
        site.serving({"Unary": hang}, limits=ServerLimits(deadline_margin=0.2)) as server,
        site.channel(server) as channel,
    ):
        await channel.channel_ready()
        error = await failure(method(channel, "Unary")(text("a"), timeout=2.0))
        await asyncio.wait_for(cancelled.wait(), 5)
    assert error.reason is Reason.DEADLINE_EXPIRED
    assert "allow more time" in error.message


async def test_cancellation_reaches_the_handler(site: Site) -> None:
    """A caller that goes away cancels its handler."""
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(request: StringValue, call: Call) -> StringValue:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    async with site.serving({"Unary": hang}) as server, site.channel(server) as channel:
        call = method(channel, "Unary")(text("a"))
        waiting = asyncio.ensure_future(failure(call))
        await asyncio.wait_for(started.wait(), 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_too_many_calls(site: Site) -> None:
    """Calls beyond the limit are refused at once as OVERLOADED."""
    release = asyncio.Event()
    started = asyncio.Event()

    async def hold(request: StringValue, call: Call) -> StringValue:
        started.set()
        await release.wait()
        return request

    async with (
        site.serving({"Unary": hold}, limits=ServerLimits(max_concurrent_rpcs=1)) as server,
        site.channel(server) as channel,
    ):
        first = method(channel, "Unary")(text("a"))
        waiting = asyncio.ensure_future(_value(first))
        await asyncio.wait_for(started.wait(), 5)
        error = await failure(method(channel, "Unary")(text("b")))
        release.set()
        assert await waiting == "a"
    assert error.reason is Reason.OVERLOADED


async def _value(call: Any) -> str:
    return str((await call).value)


async def test_refuses_to_start(site: Site) -> None:
    """What would leave a method unprotected or unclear keeps the server from starting, in words."""
    builder = site.builder()
    with pytest.raises(ValueError, match="no service"):
        await builder.start()
    builder.add_service(ECHO, HANDLERS)
    with pytest.raises(ValueError, match="registered twice"):
        builder.add_service(ECHO, HANDLERS)
    with pytest.raises(ValueError, match="has no method Foo"):
        site.builder().add_service(ECHO, {"Foo": HANDLERS["Unary"]})
