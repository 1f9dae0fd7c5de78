"""The one way to build a gRPC server here: TLS always, every method under a rule, health apart, and drain."""

from __future__ import annotations  # the runtime's classes are generic in their stubs alone

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from ostiary.wire.authorization import Authorizer
from ostiary.wire.call import Body, Call, Handler, Raw, Unread, raw, unread
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.dispatch import Dispatcher, Method
from ostiary.wire.health import HealthServer
from ostiary.wire.limits import ServerLimits
from ostiary.wire.listen import bind
from ostiary.wire.telemetry import ServerTelemetry

__all__ = ["Body", "Call", "Handler", "Server", "ServerBuilder", "ServerLimits", "raw", "unread"]

Registered = Handler | Raw[Handler] | Unread[Handler]

_WATCH_EVERY = 1.0


class ServerBuilder:
    """Collects services, then starts a server that serves nothing without TLS and a rule."""

    def __init__(
        self,
        *,
        address: str,
        health_address: str | None,
        credentials: CredentialSource,
        authorizer: Authorizer,
        limits: ServerLimits = ServerLimits(),  # noqa: B008  # frozen
    ) -> None:
        """`address` and `health_address` are `host:port`; port 0 takes a free one, None means no health."""
        if not isinstance(credentials, CredentialSource):
            raise ValueError("a server needs TLS credentials: there is no plaintext mode")
        self._address = address
        self._health_address = health_address
        self._credentials = credentials
        self._authorizer = authorizer
        self._limits = limits
        self._methods: dict[str, Method] = {}
        self._services: list[str] = []
        self._health: HealthServer | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """Every registered method, `/package.Service/Method`, in order of registration."""
        return tuple(self._methods)

    def add_service(self, descriptor: ServiceDescriptor, handlers: Mapping[str, Registered]) -> None:
        """Registers a service: `handlers` maps method names to async callables `(request, call)`.

        unary → unary: a coroutine; unary → stream: an async generator; for client streams the first argument
        is an async iterator of requests. It also ends where the client's stream broke off, a moment before
        the handler is cancelled: a protocol must say itself when it is complete. A method without a handler
        answers UNIMPLEMENTED, once authorised. A handler can be marked with `raw` (bytes in place of a
        request) or `unread` (a `Body`). Raises ValueError for a service registered twice and for a handler of
        no method.
        """
        if descriptor.full_name in self._services:
            raise ValueError(f"service {descriptor.full_name} is registered twice")
        unknown = sorted(set(handlers) - set(descriptor.methods_by_name))
        if unknown:
            raise ValueError(f"service {descriptor.full_name} has no method {', '.join(unknown)}")
        self._services.append(descriptor.full_name)
        for method in descriptor.methods:
            path = f"/{descriptor.full_name}/{method.name}"
            self._methods[path] = _method(path, method, handlers.get(method.name))

    @asynccontextmanager
    async def announced(self, *services: ServiceDescriptor) -> AsyncIterator[str | None]:
        """Answers health probes NOT_SERVING while what `services` need is put together; the address.

        `start` goes on with it. Raises ValueError for an address that cannot be bound.
        """
        if self._health_address is None:
            yield None
            return
        self._health = HealthServer(self._health_address, [one.full_name for one in services])
        try:
            await self._health.start()
            yield self._health.address
        finally:
            await self._health.stop()

    async def start(self) -> Server:
        """Binds and serves; not SERVING to health probes until `Server.set_serving(True)`.

        Raises ValueError, in words, for bad credentials, no service, a method that no rule of the authoriser
        names, and addresses that cannot be bound.
        """
        self._credentials.check()
        if not self._methods:
            raise ValueError("no service is registered")
        uncovered = [path for path in self._methods if not self._authorizer.covers(path)]
        if uncovered:
            raise ValueError(f"no rule of the authoriser names {', '.join(uncovered)}: add one for each")
        health = self._health
        if health is None and self._health_address:
            health = HealthServer(self._health_address, self._services)
        try:
            if health and self._health is None:
                await health.start()
            running = Server(*self._bind(), health, self._credentials, tuple(self._services))
            await running.start()
        except BaseException:
            if health:
                await health.stop()
            raise
        return running

    def _bind(self) -> tuple[grpc.aio.Server, str]:
        dispatcher = Dispatcher(self._credentials, self._authorizer, self._limits.deadline_margin)
        server = grpc.aio.server(
            handlers=[_Router(dispatcher, self._methods)],
            interceptors=[ServerTelemetry(self._methods)],
            options=self._limits.options(),
            maximum_concurrent_rpcs=self._limits.max_concurrent_rpcs,
        )
        tls = self._credentials.server_credentials()
        # Last, for the runtime lets go of a port only once the server has started and stopped.
        address = bind(self._address, "address", lambda asked: server.add_secure_port(asked, tls))
        return server, address


class Server:
    """A running server."""

    def __init__(
        self,
        server: grpc.aio.Server,
        address: str,
        health: HealthServer | None,
        credentials: CredentialSource,
        services: tuple[str, ...],
    ) -> None:
        self.address = address
        """`host:port`, with the real port where 0 was asked."""
        self.services = services
        """Full names of what is served."""
        self.health_address = health.address if health else None
        self._server = server
        self._health = health
        self._credentials = credentials
        self._wanted = False
        self._changed = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Called by the builder."""
        await self._server.start()
        self._watcher = asyncio.create_task(self._watch(), name="ostiary.wire.server.watch")

    def set_serving(self, serving: bool) -> None:
        """What health probes shall be told; NOT_SERVING all the same while the own certificate is expired."""
        self._wanted = serving
        self._changed.set()

    @property
    def serving(self) -> bool:
        """Whether probes are told that it serves."""
        return self._wanted and self._credentials.alive()

    async def drain(self, grace: float) -> None:
        """Says NOT_SERVING, takes no new calls, gives running ones `grace` seconds, then stops."""
        self._wanted = False
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        if self._health:
            await self._health.set_serving(False)
        await self._server.stop(grace)
        if self._health:
            await self._health.stop()

    async def wait(self) -> None:
        """Returns once the server has stopped."""
        await self._server.wait_for_termination()

    async def _watch(self) -> None:
        """Follows the files while there are no calls, and keeps health true to the own certificate."""
        while True:
            self._credentials.refresh()
            if self._health:
                await self._health.set_serving(self.serving)
            self._changed.clear()
            # Not wait_for, which until Python 3.12 forgets a cancellation that comes as it is woken.
            with suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_EVERY):
                    await self._changed.wait()


class _Router(grpc.GenericRpcHandler):
    def __init__(self, dispatcher: Dispatcher, methods: Mapping[str, Method]) -> None:
        self._dispatcher = dispatcher
        self._handlers = {path: dispatcher.rpc_handler(method) for path, method in methods.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        path = handler_call_details.method
        return self._handlers.get(path) or self._dispatcher.unknown_handler(path)


def _method(path: str, method: MethodDescriptor, handler: Registered | None) -> Method:
    if isinstance(handler, Unread) and method.client_streaming:
        raise ValueError(
            f"{path} takes a stream, which its handler reads as it likes: unread() is not for it"
        )
    marked = isinstance(handler, Raw | Unread)
    return Method(
        path=path,
        request_type=None if marked else GetMessageClass(method.input_type),
        unread=isinstance(handler, Unread),
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
        handler=handler.handler if isinstance(handler, Raw | Unread) else handler,
    )
