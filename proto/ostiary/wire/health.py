"""grpc.health.v1 on a plaintext port of its own: probes of an orchestrator present no certificate."""

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from ostiary.wire.listen import bind

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class HealthServer:
    """Answers for the process (service `""`) and for each of its services; NOT_SERVING until told."""

    def __init__(self, address: str, services: Iterable[str]) -> None:
        self._services = ("", *services)
        self._servicer = health_aio.HealthServicer()
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)
        self.address = bind(address, "health address", self._server.add_insecure_port)
        self._serving: bool | None = None

    async def start(self) -> None:
        """Begins to answer NOT_SERVING."""
        await self.set_serving(False)
        await self._server.start()

    async def set_serving(self, serving: bool) -> None:
        """Answers SERVING or NOT_SERVING from now on, to those who watch as well."""
        if serving == self._serving:
            return
        self._serving = serving
        for service in self._services:
            await self._servicer.set(service, _SERVING if serving else _NOT_SERVING)

    async def stop(self) -> None:
        """Stops at once; watchers see the connection close."""
        await self._server.stop(None)
