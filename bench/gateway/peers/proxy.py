"""A bare grpc.aio pass-through without any logic: `python proxy.py PORT UPSTREAM CREDENTIALS`.

Bytes in, bytes out, one call upstream for each that comes: the limit of the stack that our gateway stands on.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import grpc

from bench.gateway.tls import channel, server_tls

MESSAGE = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]


class Proxy(grpc.GenericRpcHandler):
    """Sends every unary call on."""

    def __init__(self, upstream: grpc.aio.Channel) -> None:
        self._upstream = upstream

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """See grpc.GenericRpcHandler."""
        call: Any = self._upstream.unary_unary(handler_call_details.method)

        async def forward(request: bytes, context: Any) -> bytes:
            answer: bytes = await call(request)
            return answer

        return grpc.unary_unary_rpc_method_handler(forward)


async def main(port: str, upstream: str, credentials: Path) -> None:
    """Serve until SIGTERM."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with channel(upstream, credentials) as to:
        server = grpc.aio.server(handlers=[Proxy(to)], options=MESSAGE)
        server.add_secure_port(f"127.0.0.1:{port}", server_tls(credentials))
        await server.start()
        await over.wait()
        await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
