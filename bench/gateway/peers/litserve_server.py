"""LitServe in front of the pod: `python litserve_server.py PORT UPSTREAM CREDENTIALS`.

As its documentation shows it: a LitAPI with `enable_async`, JSON in and out, the image in base64; its web
server demands client certificates. Annotations are real types here: the library compares them.
"""

import base64
import ssl
import sys
from pathlib import Path
from typing import Any

import litserve
from fastapi import Request

from bench.gateway.tls import channel
from ostiary.v1.image_pb2 import Image
from ostiary.v1.inference_pb2 import InferRequest, InferResponse
from ostiary.v1.moderation_pb2 import CheckRequest

INFER = "/ostiary.v1.InferenceService/Infer"


class Door(litserve.LitAPI):
    """Asks the pod, and answers what it says."""

    def setup(self, device: str) -> None:
        """The channel belongs to the loop that it is first used on."""
        self._call: Any = None

    async def decode_request(self, request: Request) -> bytes:
        """The image. The library hands over the parsed JSON."""
        return base64.b64decode(request["image"])

    async def predict(self, data: bytes) -> bytes:
        """What the pod says."""
        if self._call is None:
            self._call = channel(sys.argv[2], Path(sys.argv[3])).unary_unary(INFER)
        check = CheckRequest(images=[Image(data=data, name="front")]).SerializeToString()
        answer: bytes = await self._call(
            InferRequest(check_id="0" * 36, check_request=check).SerializeToString()
        )
        return answer

    async def encode_response(self, output: bytes) -> dict[str, Any]:
        """Observations, and the canonical image in base64."""
        answer = InferResponse.FromString(output)
        canonical = [base64.b64encode(each.data).decode() for each in answer.canonical]
        return {"verdict": "ALLOW", "bundle": answer.observations.bundle.name, "canonical": canonical}


if __name__ == "__main__":
    folder = Path(sys.argv[3])
    server = litserve.LitServer(
        Door(enable_async=True), accelerator="cpu", devices=1, workers_per_device=1, timeout=120
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        generate_client_file=False,
        log_level="warning",
        ssl_keyfile=str(folder / "key.pem"),
        ssl_certfile=str(folder / "cert.pem"),
        ssl_ca_certs=str(folder / "ca.pem"),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    )
