"""LitServe with dynamic batching, as its documentation shows it: a LitAPI whose predict takes a batch."""

import base64
import sys
from typing import Any

import litserve
from fastapi import Request
from PIL import Image
from stock import StockModel, Task, opened

TASK = Task.read(sys.argv[1])


class Checker(litserve.LitAPI):
    """Answers checks whose images come as base64 in JSON."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = StockModel(TASK)

    def decode_request(self, request: Request) -> tuple[Image.Image, bool]:
        """The image, and whether a description is wanted. The library hands over the parsed JSON."""
        return opened(base64.b64decode(request["image"])), bool(request["description"])

    def batch(self, inputs: list[tuple[Image.Image, bool]]) -> list[tuple[Image.Image, bool]]:
        """The batch as it is: images differ in size and cannot be stacked."""
        return inputs

    def predict(self, inputs: list[tuple[Image.Image, bool]]) -> list[dict[str, Any]]:
        """Answer a batch."""
        return self.model.together([image for image, _ in inputs], inputs[0][1])

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One answer a check."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """The answer is JSON already."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Checker(max_batch_size=TASK.max_batch, batch_timeout=0.05),
        accelerator="cpu",
        devices=1,
        workers_per_device=1,
        timeout=120,
    )
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
