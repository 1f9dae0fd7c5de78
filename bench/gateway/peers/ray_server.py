"""Ray Serve's gRPC ingress in front of the pod: `python ray_server.py PORT UPSTREAM CREDENTIALS`.

Its proxy hands each call to the replica that its deployment runs, and that asks the pod. The proxy of the
open source edition listens without TLS; calls from the replica to the pod are under mutual TLS as everywhere.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray import serve
from ray.serve.config import gRPCOptions

from bench.gateway.tls import channel

INFER = "/ostiary.v1.InferenceService/Infer"
_ADD = "ostiary.v1.inference_pb2_grpc.add_InferenceServiceServicer_to_server"


@serve.deployment(max_ongoing_requests=1000)
class Door:
    """Asks the pod, and answers what it says."""

    def __init__(self, upstream: str, credentials: str) -> None:
        self._upstream = upstream
        self._credentials = Path(credentials)
        self._call: Any = None

    async def Infer(self, request: Any) -> Any:  # noqa: N802  # named by the service
        """Send one call on; the channel belongs to the loop that it is first used on."""
        from ostiary.v1.inference_pb2 import InferRequest, InferResponse

        if self._call is None:
            self._call = channel(self._upstream, self._credentials).unary_unary(
                INFER,
                request_serializer=InferRequest.SerializeToString,
                response_deserializer=InferResponse.FromString,
            )
        return await self._call(request)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ray.init(
        num_cpus=len(os.sched_getaffinity(0)),
        include_dashboard=False,
        object_store_memory=200_000_000,
        _node_ip_address="127.0.0.1",
        runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}},
    )
    options = gRPCOptions(port=int(sys.argv[1]), grpc_servicer_functions=[_ADD], enable_reflection=False)
    # The HTTP proxy starts in any case; nobody asks it.
    serve.start(http_options={"host": "127.0.0.1", "port": 0}, grpc_options=options)
    serve.run(Door.bind(sys.argv[2], sys.argv[3]))
    signal.pause()
