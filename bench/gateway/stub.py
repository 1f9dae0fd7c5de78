"""A pod of fixed service time, in a process of its own: `python -m bench.gateway.stub --port N …`.

It looks at `slots` requests at once and takes as long over each; what is more waits its turn, as in a pod
whose queue has no end. Requests and replies are bytes: it costs as little as a server of this kind can.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc

from bench.gateway.material import replies, tag_of
from bench.gateway.tls import server_tls

MESSAGE = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
INFER = "/ostiary.v1.InferenceService/Infer"


class Stub(grpc.GenericRpcHandler):
    """Answers Infer."""

    def __init__(self, answers: Mapping[bytes, bytes], seconds: float, slots: int) -> None:
        self._answers = answers
        self._seconds = seconds
        self._slots = asyncio.Semaphore(slots)
        self._handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(self._infer)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """See grpc.GenericRpcHandler."""
        return self._handler if handler_call_details.method == INFER else None

    async def _infer(self, request: bytes, context: Any) -> bytes:
        answer = self._answers.get(tag_of(request))
        if answer is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not one of the benchmark's images")
        async with self._slots:
            await asyncio.sleep(self._seconds)
        return answer  # type: ignore[return-value]  # abort() does not return


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    stub = Stub(replies(), options.milliseconds / 1000, options.slots)
    server = grpc.aio.server(handlers=[stub], options=MESSAGE)
    server.add_secure_port(f"127.0.0.1:{options.port}", server_tls(options.credentials))
    await server.start()
    await over.wait()
    await server.stop(0)


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--credentials", type=Path, required=True, help="folder of ca.pem, cert.pem, key.pem")
    parser.add_argument("--milliseconds", type=float, default=5.0, help="service time")
    parser.add_argument("--slots", type=int, default=100_000, help="requests that are looked at at once")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
