"""A real server and real clients over mutual TLS on 127.0.0.1, for tests."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.wrappers_pb2 import StringValue

from bench import forge
from ostiary.wire.authorization import AllowedIds
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource, utc_now
from ostiary.wire.errors import OstiaryError, from_rpc_error
from ostiary.wire.identity import SpiffeId
from ostiary.wire.limits import ServerLimits
from ostiary.wire.server import Call, Server, ServerBuilder

DOMAIN = "wire.test"
SERVER_ID = SpiffeId(DOMAIN, "/role/server")
CLIENT_ID = SpiffeId(DOMAIN, "/role/client")


def _echo_service() -> ServiceDescriptor:
    """A service with one method of each kind, all of StringValue to StringValue, and one unimplemented."""
    file = descriptor_pb2.FileDescriptorProto(name="wire/kit/echo.proto", package="wire.kit", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    service = file.service.add(name="Echo")
    kinds = {
        "Unary": (False, False),
        "Expand": (False, True),
        "Collect": (True, False),
        "Chat": (True, True),
        "Later": (False, False),
    }
    for name, (client_streaming, server_streaming) in kinds.items():
        service.method.add(
            name=name,
            input_type=".google.protobuf.StringValue",
            output_type=".google.protobuf.StringValue",
            client_streaming=client_streaming,
            server_streaming=server_streaming,
        )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return pool.FindServiceByName("wire.kit.Echo")


ECHO = _echo_service()
METHODS = [f"/{ECHO.full_name}/{method.name}" for method in ECHO.methods]


class Clock:
    """A clock that moves when told; it starts at the present, by which TLS itself judges."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        """Moves on."""
        self.now += timedelta(seconds=seconds)


async def unary(request: StringValue, call: Call) -> StringValue:
    """Answers with the text and the caller's role."""
    return StringValue(value=f"{request.value}:{call.principal.role}")


async def expand(request: StringValue, call: Call) -> AsyncIterator[StringValue]:
    """Answers with each character."""
    for character in request.value:
        yield StringValue(value=character)


async def collect(requests: AsyncIterator[StringValue], call: Call) -> StringValue:
    """Answers with all texts joined."""
    return StringValue(value="".join([request.value async for request in requests]))


async def chat(requests: AsyncIterator[StringValue], call: Call) -> AsyncIterator[StringValue]:
    """Answers each text as it comes."""
    async for request in requests:
        yield StringValue(value=request.value.upper())


HANDLERS: Mapping[str, Any] = {"Unary": unary, "Expand": expand, "Collect": collect, "Chat": chat}


@dataclass(frozen=True)
class Site:
    """An authority with a server's and a client's credentials."""

    folder: Path
    root: forge.Holder
    server_files: CredentialFiles
    client_files: CredentialFiles

    @classmethod
    def make(cls, folder: Path) -> "Site":
        """Issues all of it in `folder`."""
        root = forge.authority(trust_domain=DOMAIN)
        server = forge.leaf(root, str(SERVER_ID), dns=["localhost"])
        client = forge.leaf(root, str(CLIENT_ID))
        deny_list = folder / "deny.txt"
        deny_list.write_bytes(b"# nobody yet\n")
        server_files = replace(server.write(folder / "server", root.certificate), deny_list=deny_list)
        return cls(folder, root, server_files, client.write(folder / "client", root.certificate))

    def client(self, holder: forge.Holder | None = None) -> CredentialSource:
        """The client's credentials, or those of `holder`, written down as they are."""
        if holder is None:
            return CredentialSource(self.client_files)
        return CredentialSource(
            replace(holder.write(self.folder / "other", self.root.certificate), trust_domain=DOMAIN)
        )

    def builder(
        self,
        *,
        limits: ServerLimits = ServerLimits(),  # noqa: B008  # frozen
        clock: Clock | None = None,
        credentials: CredentialSource | None = None,
        address: str = "127.0.0.1:0",
        health_address: str | None = None,
    ) -> ServerBuilder:
        """A builder whose server lets the client's ID call every method of Echo."""
        source = credentials or CredentialSource(self.server_files, clock=clock or utc_now)
        return ServerBuilder(
            address=address,
            health_address=health_address,
            credentials=source,
            authorizer=AllowedIds("tester", {CLIENT_ID}, METHODS),
            limits=limits,
        )

    @asynccontextmanager
    async def serving(self, handlers: Mapping[str, Any] = HANDLERS, **options: Any) -> AsyncIterator[Server]:
        """A running server of Echo."""
        builder = self.builder(**options)
        builder.add_service(ECHO, handlers)
        server = await builder.start()
        server.set_serving(True)
        try:
            yield server
        finally:
            await server.drain(0)

    @asynccontextmanager
    async def channel(
        self, server: Server, credentials: CredentialSource | None = None
    ) -> AsyncIterator[grpc.aio.Channel]:
        """A channel to `server`, closed afterwards."""
        async with open_channel(
            server.address, credentials or self.client(), server_name="localhost"
        ) as channel:
            yield channel

    def bare_channel(self, server: Server, holder: forge.Holder | None) -> grpc.aio.Channel:
        """A channel that presents whatever `holder` has, or nothing: no check of one's own before."""
        credentials = grpc.ssl_channel_credentials(
            forge.pem(self.root.certificate),
            holder.key_pem if holder else None,
            forge.pem(holder.certificate, *holder.above) if holder else None,
        )
        options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.secure_channel(server.address, credentials, options=options)


def method(channel: grpc.aio.Channel, name: str) -> Any:
    """The callable of a method of Echo, of its own kind."""
    described = ECHO.methods_by_name[name]
    kind = f"{_word(described.client_streaming)}_{_word(described.server_streaming)}"
    return getattr(channel, kind)(
        f"/{ECHO.full_name}/{name}",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=StringValue.FromString,
    )


def _word(streaming: bool) -> str:
    return "stream" if streaming else "unary"


async def failure(call: Any) -> OstiaryError:
    """The error that a unary-response call ends with."""
    try:
        await call
    except grpc.RpcError as error:
        return from_rpc_error(error)
    raise AssertionError("the call succeeded")
