"""What operators may look into: which services there are, their state, and the channels of the runtime.

gRPC's own reflection, health and channelz, served by this project's server builder: over mutual TLS, each
method under a rule. Never on the port that callers use.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_channelz.v1 import channelz_pb2
from grpc_channelz.v1.channelz import aio as channelz_aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from ostiary.wire.authorization import Authorizer
from ostiary.wire.call import Call, Handler
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.server import Server, ServerBuilder

HEALTH = cast(ServiceDescriptor, health_pb2.DESCRIPTOR.services_by_name["Health"])
REFLECTION: ServiceDescriptor = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
CHANNELZ: ServiceDescriptor = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"]
SERVICES = (HEALTH, REFLECTION, CHANNELZ)
METHODS = tuple(f"/{service.full_name}/{method.name}" for service in SERVICES for method in service.methods)


async def start(
    address: str, credentials: CredentialSource, authorizer: Authorizer, inspected: Server
) -> Server:
    """An inspection listener on `address` for `inspected`, a server of the same process.

    Raises:
        ValueError: the address cannot be bound, or `authorizer` has no rule for one of `METHODS`.
    """
    builder = ServerBuilder(
        address=address, health_address=None, credentials=credentials, authorizer=authorizer
    )
    builder.add_service(HEALTH, _health(inspected))
    builder.add_service(REFLECTION, _reflection(inspected.services))
    builder.add_service(CHANNELZ, {method.name: _channelz(method.name) for method in CHANNELZ.methods})
    return await builder.start()


def _health(inspected: Server) -> Mapping[str, Handler]:
    """Check alone: Watch is for the plaintext port, where orchestrators look."""

    async def check(request: Any, call: Call) -> Any:
        if request.service and request.service not in inspected.services:
            known = ", ".join(inspected.services)
            raise OstiaryError(
                Reason.NOT_FOUND, f"There is no service {request.service!r}: there are {known}"
            )
        states = health_pb2.HealthCheckResponse
        return states(status=states.SERVING if inspected.serving else states.NOT_SERVING)

    return {"Check": check}


def _reflection(services: Sequence[str]) -> Mapping[str, Handler]:
    servicer = reflection.aio.ReflectionServicer([*services, *(each.full_name for each in SERVICES)])

    async def info(requests: AsyncIterator[Any], call: Call) -> AsyncGenerator[Any, None]:
        async for response in servicer.ServerReflectionInfo(requests, None):
            yield response

    return {"ServerReflectionInfo": info}


class _Outcome:
    """What the runtime's servicer says in place of an answer."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.details = ""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Part of the runtime's context that the servicer uses."""
        self.code = code

    def set_details(self, details: str) -> None:
        """As above."""
        self.details = details


def _channelz(method: str) -> Handler:
    ask: Callable[[Any, _Outcome], Awaitable[Any]] = getattr(channelz_aio.ChannelzServicer, method)

    async def answer(request: Any, call: Call, *, ask: Callable[[Any, _Outcome], Awaitable[Any]]) -> Any:
        outcome = _Outcome()
        response = await ask(request, outcome)
        if outcome.code is not None or response is None:
            missing = outcome.code is grpc.StatusCode.NOT_FOUND
            reason = Reason.NOT_FOUND if missing else Reason.INTERNAL
            raise OstiaryError(reason, outcome.details or "the runtime has no answer")
        return response

    return partial(answer, ask=ask)
